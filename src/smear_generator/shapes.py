"""Soft shapes on small pixel grids: the strokes every drawn object is made of.

Shapes are float32 arrays (side, side) from 0 (outside) to about 1 (inside); lengths are pixels, angles
radians.
"""

from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Grid:
    """Pixel offsets from the middle of a square patch, plain and polar, each (side, side) float32."""

    x: Array
    y: Array
    distance: Array
    angle: Array

    @property
    def side(self) -> int:
        """Pixels along one side; always odd."""
        return len(self.x)


def grid(radius: float, *, stretch: float = 1.0, turn: float = 0.0) -> Grid:
    """A patch that reaches `radius` each way; circles on it come out `stretch` times longer along `turn`."""
    half = int(np.ceil(radius))
    line = np.arange(-half, half + 1, dtype=np.float32)
    x0, y0 = line[None, :], line[:, None]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    root = np.float32(np.sqrt(stretch))
    x = (x0 * cos + y0 * sin) / root
    y = (y0 * cos - x0 * sin) * root
    return Grid(x, y, np.hypot(x, y), np.arctan2(y, x))


def disc(distance: Array, radius: float | Array, soft: float) -> Array:
    """1 inside `radius`, 0 outside, with an edge about `soft` pixels wide."""
    steep = np.float32(4 / soft)
    return 1 / (1 + np.exp(np.clip((distance - np.asarray(radius, np.float32)) * steep, -30, 30)))


def spot(on: Grid, x: float, y: float, radius: float, soft: float) -> Array:
    """A disc whose middle is at (x, y)."""
    return disc(np.hypot(on.x - np.float32(x), on.y - np.float32(y)), radius, soft)


def band(distance: Array, radius: float | Array, width: float | Array) -> Array:
    """A ring: 1 on `radius`, falling off like a Gaussian of standard deviation `width`."""
    offset = (distance - np.asarray(radius, np.float32)) / np.asarray(width, np.float32)
    return np.exp(-0.5 * np.square(offset))


def wobble(angle: Array, rng: np.random.Generator, amount: float) -> Array:
    """Factors around 1 that make an outline irregular: harmonics 2, 3 and 5, the finer the weaker."""
    waves = [
        np.float32(rng.normal(0, 0.9 * amount / k)) * np.cos(np.float32(k) * angle + np.float32(turn))
        for k, turn in zip((2, 3, 5), rng.uniform(0, 2 * np.pi, 3), strict=True)
    ]
    return 1 + waves[0] + waves[1] + waves[2]


def grain(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    """Smooth noise (height, width), mean 0, spread about 1, with `cells` (down, across) bumps."""
    coarse = rng.standard_normal((cells[0] + 1, cells[1] + 1), dtype=np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def mottle(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int) -> Array:
    """Noise on several scales: `cells` bumps across, then twice as many, 0.65 times as strong, and so on."""
    height, width = shape
    down, across = max(2, round(cells * height / width)), cells
    total = rng.standard_normal((down, across), dtype=np.float32)
    for octave in range(1, octaves):
        down, across = 2 * down, 2 * across
        total = cv2.resize(total, (across, down), interpolation=cv2.INTER_CUBIC)
        total += np.float32(0.65**octave) * rng.standard_normal((down, across), dtype=np.float32)
    return cv2.resize(total, (width, height), interpolation=cv2.INTER_CUBIC)
