"""What is taken for a parasite or a white cell and is none.

Each has the colours and the size of what it is mistaken for, and lacks the structure: dots without a ring,
rings without a dot, bodies with neither, dark clumps without cytoplasm.
"""

from collections.abc import Callable

import numpy as np

from smear_generator.shapes import Array, band, disc, grain, grid, spot, wobble
from smear_generator.stains import Stains, paint

Draw = Callable[[np.random.Generator, float, Stains, float], Array]


def platelet(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """A platelet: a granular magenta to violet body without dot, ring or vacuole. Density (3, side, side)."""
    on = grid(0.75 * size + 2 * soft, stretch=rng.uniform(0.6, 1.6), turn=rng.uniform(0, np.pi))
    body = disc(on.distance, 0.4 * size * wobble(on.angle, rng, 0.22), 2.2 * soft)
    grains = np.clip(1 + np.float32(0.4) * grain(rng, body.shape, (6, 6)), 0.3, 1.9)
    share = np.float32(rng.uniform(0.2, 0.8))
    amount = body * grains * np.float32(rng.uniform(0.3, 0.6))
    return paint(amount * share, stains.granule) + paint(amount * (1 - share), stains.azure)


def precipitate(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Crystals of stain: one to six bare dark dots, as dense as chromatin. Density (3, side, side)."""
    on = grid(0.75 * size + 2 * soft)
    amount = np.zeros_like(on.x)
    for _ in range(rng.integers(1, 7)):
        x, y = rng.normal(0, 0.2 * size, 2).clip(-0.45 * size, 0.45 * size)
        radius = size * rng.uniform(0.06, 0.17)
        amount = np.maximum(amount, np.float32(rng.uniform(0.6, 1.0)) * spot(on, x, y, radius, soft))
    return paint(amount, stains.chromatin if rng.random() < 0.6 else stains.nucleus)


def blot(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """A soft blue blot of stain, as dark as cytoplasm. Density (3, side, side)."""
    on = grid(0.9 * size + soft, stretch=rng.uniform(0.45, 2.2), turn=rng.uniform(0, np.pi))
    amount = disc(on.distance, 0.42 * size * wobble(on.angle, rng, 0.35), 0.16 * size + 2 * soft)
    amount *= np.clip(1 + np.float32(0.35) * grain(rng, amount.shape, (4, 4)), 0.2, 1.8)
    return paint(amount * np.float32(rng.uniform(0.25, 0.65)), stains.azure)


def ghost(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """The ghost of a red cell: a blue ring, whole or broken, with no dot on it. Density (3, side, side)."""
    on = grid(0.8 * size + 2 * soft, stretch=rng.uniform(0.75, 1.35), turn=rng.uniform(0, np.pi))
    radius = size * rng.uniform(0.32, 0.5) * wobble(on.angle, rng, 0.14)
    ring = band(on.distance, radius, np.hypot(0.06 * size, 0.4 * soft))
    gap = np.cos(on.angle - np.float32(rng.uniform(0, 2 * np.pi)))
    ring *= 1 - np.float32(rng.uniform(0, 0.9)) * np.clip(gap, 0, 1)
    amount = ring + np.float32(rng.uniform(0, 0.2)) * disc(on.distance, radius, soft)
    return paint(amount * np.float32(rng.uniform(0.35, 0.7)), stains.azure)


def clump(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """A ragged clump of stain, large and dark as a white cell, without cytoplasm. Density (3, side, side)."""
    on = grid(0.95 * size + 2 * soft, stretch=rng.uniform(0.6, 1.7), turn=rng.uniform(0, np.pi))
    rough = grain(rng, on.x.shape, (9, 9)) + grain(rng, on.x.shape, (4, 4))
    edge = on.distance / (0.42 * size) + np.float32(0.22) * rough
    amount = disc(edge, 1.0, 0.35) * np.clip(0.8 + np.float32(0.3) * rough, 0.15, 1.5)
    hue = np.float32(rng.uniform(0.3, 0.9))
    amount *= np.float32(rng.uniform(0.7, 1.2))
    return paint(amount * hue, stains.azure) + paint(amount * (1 - hue), stains.nucleus)


def bubble(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """A hole in the film: brighter than the ground, with a dark refracting rim. Density (3, side, side)."""
    on = grid(0.8 * size + 2 * soft, stretch=rng.uniform(0.6, 1.6), turn=rng.uniform(0, np.pi))
    radius = 0.38 * size * wobble(on.angle, rng, 0.2)
    rim = band(on.distance, radius, np.hypot(0.04 * size, 0.4 * soft))
    inside = disc(on.distance, radius, soft)
    return paint(rim * np.float32(rng.uniform(0.2, 0.5)), stains.lilac) - paint(
        inside * np.float32(rng.uniform(0.1, 0.25)), stains.blood + np.float32(0.5) * stains.lilac
    )


SMALL: tuple[Draw, ...] = (platelet, precipitate, blot, ghost)  # the size of a parasite
SMALL_SHARES = (0.34, 0.24, 0.24, 0.18)
