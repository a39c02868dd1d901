"""White cells of a thick film: a large dark nucleus, lobed, round or bent, in pale ragged cytoplasm."""

import numpy as np

from smear_generator.shapes import Array, Grid, disc, grain, grid, spot, wobble
from smear_generator.stains import Stains, paint

KINDS = ("neutrophil", "lymphocyte", "monocyte")
SHARES = (0.6, 0.25, 0.15)


def white_cell(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Density (3, side, side) of one white cell `size` pixels across, its edges `soft` pixels wide."""
    on = grid(0.62 * size + 2 * soft, stretch=rng.uniform(0.85, 1.18), turn=rng.uniform(0, np.pi))
    kind = KINDS[rng.choice(len(KINDS), p=SHARES)]
    nucleus = {"neutrophil": _lobed, "lymphocyte": _round, "monocyte": _bent}[kind](rng, on, size, soft)
    texture = 1 + np.float32(0.12) * grain(rng, nucleus.shape, (7, 7))
    body = disc(on.distance, 0.47 * size * wobble(on.angle, rng, 0.1), 2.5 * soft)
    ragged = np.clip(1 + np.float32(0.3) * grain(rng, nucleus.shape, (5, 5)), 0.4, 1.6)
    density = paint(nucleus * texture * np.float32(rng.uniform(0.95, 1.4)), stains.nucleus)
    cytoplasm = body * ragged * (1 - nucleus)
    density += paint(cytoplasm * np.float32(rng.uniform(0.16, 0.28)), stains.azure)
    if kind == "neutrophil":
        density += paint(cytoplasm * np.float32(rng.uniform(0.02, 0.12)), stains.granule)
    return density


def _lobed(rng: np.random.Generator, on: Grid, size: float, soft: float) -> Array:
    """Two to five lobes in a bow, each touching the next."""
    lobes = rng.integers(2, 6)
    radius = size * {2: 0.22, 3: 0.18, 4: 0.155, 5: 0.14}[int(lobes)]
    turns = rng.uniform(0, 2 * np.pi) + (np.arange(lobes) - (lobes - 1) / 2) * (2.6 / lobes + 0.35)
    far = size * rng.uniform(0.19, 0.23)
    nucleus = np.zeros_like(on.x)
    for turn in turns:
        own = radius * rng.uniform(0.88, 1.12)
        nucleus = np.maximum(nucleus, spot(on, far * np.cos(turn), far * np.sin(turn), own, 1.4 * soft))
    return nucleus


def _round(rng: np.random.Generator, on: Grid, size: float, soft: float) -> Array:
    """One large round nucleus."""
    return disc(on.distance, size * rng.uniform(0.33, 0.39) * wobble(on.angle, rng, 0.06), 1.4 * soft)


def _bent(rng: np.random.Generator, on: Grid, size: float, soft: float) -> Array:
    """A kidney: a round nucleus with a bay."""
    bay = spot(on, size * 0.38, 0.0, size * rng.uniform(0.17, 0.23), 0.1 * size + soft)
    return disc(on.distance, 0.37 * size * wobble(on.angle, rng, 0.08), 1.4 * soft) * (1 - bay)
