import numpy as np
import pytest

from tropho.orientation import SYMMETRIES, turn_boxes, turn_image

PICTURE = np.arange(4 * 6).reshape(4, 6)  # no two pixels alike


def test_names_mean_what_numpy_means() -> None:
    expected = {
        "identity": PICTURE,
        "hflip": PICTURE[:, ::-1],
        "vflip": PICTURE[::-1],
        "rot180": np.rot90(PICTURE, 2),
        "transpose": PICTURE.T,
        "rot90": np.rot90(PICTURE),
        "rot270": np.rot90(PICTURE, 3),
        "antitranspose": np.rot90(PICTURE, 2).T,
    }
    assert set(expected) == set(SYMMETRIES)
    for name, picture in expected.items():
        assert np.array_equal(turn_image(PICTURE, name), picture), name
    assert len({turn_image(PICTURE, name).tobytes() for name in SYMMETRIES}) == 8


@pytest.mark.parametrize("name", SYMMETRIES)
def test_boxes_follow_their_pixels(name: str) -> None:
    image = np.zeros((40, 70, 3), np.uint8)
    boxes = np.array([[3, 5, 20, 11], [50, 0, 70, 33]], np.float32)
    for number, (xmin, ymin, xmax, ymax) in enumerate(boxes.astype(int)):
        image[ymin:ymax, xmin:xmax] = number + 1
    turned, moved = turn_image(image, name), turn_boxes(boxes, name, 70, 40)
    assert moved.dtype == np.float32
    for number, (xmin, ymin, xmax, ymax) in enumerate(moved.astype(int)):
        assert (turned[ymin:ymax, xmin:xmax] == number + 1).all()
        assert (xmax - xmin) * (ymax - ymin) == (image[..., 0] == number + 1).sum()


def test_no_boxes_stay_no_boxes() -> None:
    assert turn_boxes(np.zeros((0, 4), np.float32), "rot90", 70, 40).shape == (0, 4)
