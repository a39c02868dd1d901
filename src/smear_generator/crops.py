"""Crops of single red cells of a thin film, with or without a parasite."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from smear_generator.field import Look, new_look, stamp
from smear_generator.objects import SMALL, trophozoite
from smear_generator.strokes import Array, band, disc, generator, grain, grid, mottle, paint, wobble

CELLS = 4  # first key of a random generator
TEST_SLIDES = 5000  # test slides are numbered from here, training slides from 0
LOOK_ALIKE_SHARES = (0.28, 0.42, 0.22, 0.08)  # many bare dots: a dark pixel must not give a parasite away
INFECTED, CLEAN = "Parasitized", "Uninfected"


@dataclass(frozen=True)
class Cell:
    """One cell: file name (starts with its slide's), class, and picture (h, w, 3) uint8 RGB."""

    name: str
    label: str
    picture: Array


def cells(seed: int, count: int, subset: str, difficulty: float) -> Iterator[Cell]:
    """Draw `count` cells of subset "train" or "test": 16 to 32 per slide, every other one with a parasite."""
    slide = drawn = 0
    first = TEST_SLIDES if subset == "test" else 0
    while drawn < count:
        rng = generator(seed, subset, CELLS, slide)
        look = new_look(rng, difficulty)
        for number in range(min(int(rng.integers(16, 33)), count - drawn)):
            label = (INFECTED, CLEAN)[drawn % 2]
            own = generator(seed, subset, CELLS, slide, number)
            picture = _picture(own, look, label == INFECTED, difficulty)
            yield Cell(f"s{first + slide:04d}_cell_{number:03d}.png", label, picture)
            drawn += 1
        slide += 1


def _picture(rng: np.random.Generator, look: Look, infected: bool, difficulty: float) -> Array:
    height, width = (int(side) for side in rng.integers(64, 81, 2))
    size = min(height, width) * rng.uniform(0.78, 0.94)
    middle = int(width / 2 + rng.normal(0, 1.5)), int(height / 2 + rng.normal(0, 1.5))
    density = paint(0.06 + np.float32(0.02) * mottle(rng, (height, width), 3, 3), look.stains.lilac)
    eosin = rng.uniform(0.45, 0.8)
    stamp(density, _red_cell(rng, size, eosin, look), *middle)
    for turn in rng.uniform(0, 2 * np.pi, rng.integers(0, 3)):  # neighbours that look in from the side
        far = rng.uniform(1.02, 1.2) * size
        beside = int(middle[0] + far * np.cos(turn)), int(middle[1] + far * np.sin(turn))
        stamp(density, _red_cell(rng, size * rng.uniform(0.85, 1.1), eosin, look), *beside)
    unit = size * (0.49 - 0.14 * difficulty)
    thirds = rng.permutation(3) * (2 * np.pi / 3) + rng.uniform(0, 2 * np.pi)  # so that they stay apart
    parasites = 1 + int(rng.random() < 0.12) if infected else 0
    # A clean cell carries one more look-alike, so that the amount of stain does not give the class away.
    others = rng.binomial(1, 0.4) + (0 if infected else rng.binomial(1, 0.95))
    for index, turn in enumerate(thirds[: parasites + others]):
        far = size * (rng.uniform(0.18, 0.25) if index < parasites else rng.uniform(0.24, 0.33))
        at = int(middle[0] + far * np.cos(turn)), int(middle[1] + far * np.sin(turn))
        draw = trophozoite if index < parasites else SMALL[rng.choice(len(SMALL), p=LOOK_ALIKE_SHARES)]
        own = unit * float(np.clip(rng.normal(1, 0.15), 0.7, 1.3))
        stamp(density, draw(rng, own, look.stains, rng.uniform(0.9, 1.7)), *at)
    return _expose(rng, density, look)


def _red_cell(rng: np.random.Generator, size: float, eosin: float, look: Look) -> Array:
    """Draw a red cell `size` pixels wide: a salmon disc, paler in the centre."""
    on = grid(0.62 * size, stretch=rng.uniform(0.9, 1.12), turn=rng.uniform(0, np.pi))
    outline = 0.5 * size * wobble(on.angle, rng, 0.05)
    amount = disc(on.distance, outline, 2.0)
    amount *= 1 - np.float32(rng.uniform(0.1, 0.4)) * disc(on.distance, 0.2 * size, 0.25 * size)
    amount *= 1 + np.float32(0.05) * grain(rng, amount.shape, (6, 6))
    amount += np.float32(0.15) * band(on.distance, outline, 1.5)
    return paint(amount * np.float32(eosin), look.stains.eosin)


def _expose(rng: np.random.Generator, density: Array, look: Look) -> np.ndarray:
    through = np.exp(density * np.float32(-np.log(10))).transpose(1, 2, 0)
    sharp = float(np.hypot(0.35, look.focus * rng.uniform(0.8, 1.25)))
    picture = cv2.GaussianBlur(through, (0, 0), sharp) * look.light * np.float32(255 * rng.uniform(0.94, 1.04))
    picture += rng.normal(0, 2.0, (*picture.shape[:2], 1)).astype(np.float32)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
