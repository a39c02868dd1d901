import numpy as np

from tropho.images.augmentations.illumination import vary_illumination


def test_no_strength_changes_no_pixel(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.array_equal(vary_illumination(image, 0.0, rng), image)


def test_light_is_smooth_without_colour_and_keeps_the_exposure() -> None:
    image = np.full((90, 160, 3), 100, np.uint8)
    spreads = []
    for seed in range(30):
        lit = vary_illumination(image, 0.4, np.random.default_rng(seed)).astype(int)
        assert (lit == lit[..., :1]).all()
        assert abs(lit.mean() - 100) < 1.5  # rounding, and interpolation at the edges
        assert max(np.abs(np.diff(lit[..., 0], axis=axis)).max() for axis in (0, 1)) <= 3
        # ends of the slope 1.4 and 0.6, the vignette takes 0.4 of the darker one
        assert lit.min() >= 100 * 0.6 * 0.6
        assert lit.max() <= 100 * 1.4 / 0.6
        spreads.append(np.ptp(lit))
    assert min(spreads) < 25
    assert max(spreads) > 50


def test_black_stays_black(rng: np.random.Generator) -> None:
    assert not vary_illumination(np.zeros((20, 30, 3), np.uint8), 0.9, rng).any()
