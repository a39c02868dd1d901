"""Stain variation scales the amounts of dyes, and nothing else."""

import numpy as np
import pytest

from tropho.images.augmentations.stain import DYES, vary_stain


class Draws:
    """A generator that draws what it is told."""

    def __init__(self, *values: float) -> None:
        self.values = np.array(values)

    def uniform(self, low: float, high: float, count: int) -> np.ndarray:
        assert (low, high, count) == (-1, 1, len(self.values))
        return self.values


def dyed(*amounts: float) -> np.ndarray:
    """A picture of one colour: what light is left behind these amounts of each dye."""
    return np.full((4, 4, 3), 255 * np.exp(-np.array(amounts) @ DYES[: len(amounts)]), np.float64).round().astype("u1")


def test_no_strength_changes_no_pixel(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    image[0, :3] = [[0, 0, 0], [255, 255, 255], [1, 0, 255]]
    assert np.array_equal(vary_stain(image, 0.0, rng), image)


@pytest.mark.parametrize("amounts", [(1.2, 0.0), (0.0, 0.9), (0.7, 0.6)])
def test_each_dye_is_scaled_by_its_own_factor(amounts: tuple[float, float]) -> None:
    """Half as much again of the first dye, half of the second: the colour that these amounts would have had."""
    changed = vary_stain(dyed(*amounts), 0.5, Draws(1.0, -1.0, 0.0))
    expected = dyed(1.5 * amounts[0], 0.5 * amounts[1])
    # the input's rounding to whole grey levels is all that is lost
    assert np.abs(changed.astype(int) - expected).max() <= 2


def test_glass_stays_white_and_the_surround_dark(rng: np.random.Generator) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 255
    for _ in range(50):
        changed = vary_stain(image, 0.3, rng)
        assert (changed[:4] == 255).all()
        assert changed[4:].max() < 16


def test_draws_differ_and_come_from_the_generator() -> None:
    image = dyed(0.7, 0.6)
    pixels = [tuple(vary_stain(image, 0.2, np.random.default_rng(seed))[0, 0]) for seed in range(20)]
    assert len(set(pixels)) > 15
    assert pixels[0] == tuple(vary_stain(image, 0.2, np.random.default_rng(0))[0, 0])
