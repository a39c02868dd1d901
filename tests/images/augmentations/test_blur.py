import numpy as np
import pytest

from tropho.images.augmentations.blur import blur, disk, line


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0, 1.7, 4.0])
def test_disks_are_round_of_the_right_size_and_keep_the_light(radius: float) -> None:
    kernel = disk(radius)
    assert kernel.sum() == pytest.approx(1)
    assert np.allclose(kernel, kernel.T)
    assert np.allclose(kernel, kernel[::-1])
    if radius >= 1:  # the mean squared distance from the middle: r^2 / 2 of an even disk, 1 / 6 within each pixel
        offset = np.arange(len(kernel)) - len(kernel) // 2
        spread = (kernel * (offset[:, None] ** 2 + offset[None, :] ** 2)).sum()
        assert spread == pytest.approx(radius**2 / 2 + 1 / 6, rel=0.25)


def test_a_line_blurs_along_itself_alone() -> None:
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 255
    flat = line(6, 0.0)
    assert flat.sum() == pytest.approx(1)
    assert flat[3].sum() == pytest.approx(1)  # the row of the middle holds all of it
    assert np.allclose(line(6, np.pi / 2), flat.T)
    slant = line(6, np.pi / 4)
    assert np.allclose(slant, slant.T)
    assert slant[0, 0] == 0
    assert slant[1, 1] == pytest.approx((3.5 - 2 * np.sqrt(2)) * slant[3, 3])  # its end lies within this pixel
    assert slant[2, 2] == pytest.approx(slant[3, 3])
    assert slant[0, -1] == 0


def test_no_strength_changes_no_pixel(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for _ in range(4):
        assert np.array_equal(blur(image, 0.0, rng), image)


def test_blur_takes_contrast_and_leaves_brightness(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    blurred = [blur(image, 3.0, rng) for _ in range(20)]
    assert all(abs(each.mean() - image.mean()) < 2 for each in blurred)
    contrasts = sorted(each.std() for each in blurred)
    assert contrasts[0] < 0.4 * image.std() < contrasts[-1] <= image.std()
