"""Strokes of every drawn object: soft shapes on pixel grids, noise, stains, and the random generators.

A shape is (side, side) float32, from 0 outside to about 1 inside. Lengths are pixels, angles radians.
A density is (3, height, width) float32, optical density for red, green and blue.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

SUBSETS = ("train", "test")


def generator(seed: int, subset: str, *key: int) -> np.random.Generator:
    """Make the random generator of one item, independent of how many items are drawn before it.

    `key` names the item: (kind, slide), (kind, slide, field), ...
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SUBSETS.index(subset), *key)))


@dataclass(frozen=True)
class Grid:
    """Pixel offsets from the centre of a square patch, Cartesian and polar, each (side, side) float32."""

    x: Array
    y: Array
    distance: Array
    angle: Array


def grid(radius: float, *, stretch: float = 1.0, turn: float = 0.0) -> Grid:
    """Make a patch of half-width `radius`; circles on it are `stretch` times longer along the angle `turn`."""
    half = int(np.ceil(radius))
    line = np.arange(-half, half + 1, dtype=np.float32)
    x0, y0 = line[None, :], line[:, None]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    root = np.float32(np.sqrt(stretch))
    x = (x0 * cos + y0 * sin) / root
    y = (y0 * cos - x0 * sin) * root
    return Grid(x, y, np.hypot(x, y), np.arctan2(y, x))


def disc(distance: Array, radius: float | Array, soft: float) -> Array:
    """Draw a disc: 1 inside `radius`, 0 outside, with an edge about `soft` pixels wide."""
    steep = np.float32(4 / soft)
    offset: Array = (distance - np.asarray(radius, np.float32)) * steep
    return 1 / (1 + np.exp(np.clip(offset, -30, 30)))


def spot(on: Grid, x: float, y: float, radius: float, soft: float) -> Array:
    """Draw a disc centred at (x, y)."""
    return disc(np.hypot(on.x - np.float32(x), on.y - np.float32(y)), radius, soft)


def band(distance: Array, radius: float | Array, width: float | Array) -> Array:
    """Draw a ring: 1 on `radius`, falling off as a Gaussian of standard deviation `width`."""
    offset = (distance - np.asarray(radius, np.float32)) / np.asarray(width, np.float32)
    return np.exp(-0.5 * np.square(offset))


def wobble(angle: Array, rng: np.random.Generator, amount: float) -> Array:
    """Draw factors around 1 that make an outline irregular: harmonics 2, 3 and 5 of the angle."""
    waves: list[Array] = [
        np.float32(rng.normal(0, 0.9 * amount / k)) * np.cos(np.float32(k) * angle + np.float32(turn))
        for k, turn in zip((2, 3, 5), rng.uniform(0, 2 * np.pi, 3), strict=True)
    ]
    return 1 + waves[0] + waves[1] + waves[2]


def grain(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    """Draw smooth noise (height, width), mean 0, deviation about 1, with `cells` (down, across) bumps."""
    coarse = rng.standard_normal((cells[0] + 1, cells[1] + 1), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def mottle(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int) -> Array:
    """Draw fractal noise: `cells` bumps across, then twice as many, 0.65 times as strong, and so on."""
    height, width = shape
    down, across = max(2, round(cells * height / width)), cells
    total = rng.standard_normal((down, across), dtype=np.float32)
    for octave in range(1, octaves):
        down, across = 2 * down, 2 * across
        total = np.asarray(cv2.resize(total, (across, down), interpolation=cv2.INTER_CUBIC), np.float32)
        total += np.float32(0.65**octave) * rng.standard_normal((down, across), dtype=np.float32)
    return np.asarray(cv2.resize(total, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


class Stains(NamedTuple):
    """Stains of one slide: optical density of one unit for red, green and blue, each (3,) float32."""

    azure: Array  # parasite cytoplasm, stain blots: blue
    chromatin: Array  # parasite chromatin: dark red-violet
    nucleus: Array  # white cell nuclei: deep blue-violet
    granule: Array  # platelets, white cell granules: magenta
    blood: Array  # what is left of lysed red cells: yellow to brown
    lilac: Array  # stained plasma proteins: lilac
    eosin: Array  # whole red cells of a thin film: salmon

    def scaled(self, strength: float) -> "Stains":
        """Scale the stains of parasites and look-alikes."""
        scaled = ("azure", "chromatin", "nucleus", "granule")
        return self._replace(**{name: getattr(self, name) * np.float32(strength) for name in scaled})


USUAL = np.array(
    (
        (0.86, 0.68, 0.08),
        (0.80, 1.00, 0.24),
        (1.00, 0.98, 0.10),
        (0.46, 0.88, 0.24),
        (0.08, 0.30, 0.62),
        (0.34, 0.46, 0.10),
        (0.06, 0.42, 0.30),
    )
)
"""Usual densities in the order of `Stains`, (7, 3) float64."""


def mix_stains(rng: np.random.Generator, variation: float) -> Stains:
    """Draw the stains of a slide; `variation` (0..1) scales the deviation from the usual strength and hues."""
    strength = 1 + 0.45 * variation * rng.uniform(-1, 1)
    warmth = 0.30 * variation * rng.uniform(-1, 1)  # acid stain turns red, alkaline blue
    shift = np.array([1 - warmth, 1 + 0.2 * warmth, 1 + warmth])

    own = 1 + 0.16 * variation * rng.uniform(-1, 1, USUAL.shape)  # (7, 3)
    return Stains(*(USUAL * shift * own).astype(np.float32)).scaled(strength)


def paint(amount: Array, stain: Array) -> Array:
    """Return the density (3, height, width) of `amount` (height, width) units of a stain."""
    return stain[:, None, None] * amount
