"""Trophozoites of *Plasmodium falciparum*: a ring of blue cytoplasm with a dense dot of chromatin on it.

What makes one is structure, not colour: the dot sits on a ring, an arc or a body with a vacuole.
"""

import numpy as np

from smear_generator.shapes import Array, Grid, band, disc, grid, spot, wobble
from smear_generator.stains import Stains, paint

FORMS = ("ring", "signet", "comma", "mature")
SHARES = (0.34, 0.28, 0.14, 0.24)


def trophozoite(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Density (3, side, side) of one trophozoite `size` pixels across, its edges `soft` pixels wide."""
    on = grid(0.8 * size + 2 * soft, stretch=rng.uniform(0.85, 1.18), turn=rng.uniform(0, np.pi))
    form = FORMS[rng.choice(len(FORMS), p=SHARES)]
    at = rng.uniform(-np.pi, np.pi)
    radius = size * rng.uniform(0.33, 0.38)
    if form == "mature":
        return _mature(rng, on, size, stains, soft, at)
    cytoplasm = _ring(rng, on, size, radius, soft, at, form)
    dot = size * rng.uniform(0.115, 0.155)
    chromatin = spot(on, radius * np.cos(at), radius * np.sin(at), dot, soft)
    if form == "ring" and rng.random() < 0.2:  # two dots are common in this species
        other = at + rng.uniform(0.8, 2.2)
        chromatin = np.maximum(chromatin, spot(on, radius * np.cos(other), radius * np.sin(other), 0.85 * dot, soft))
    return paint(cytoplasm * np.float32(rng.uniform(0.5, 0.75)), stains.azure) + paint(
        chromatin * np.float32(rng.uniform(0.75, 1.05)), stains.chromatin
    )


def _ring(rng: np.random.Generator, on: Grid, size: float, radius: float, soft: float, at: float, form: str) -> Array:
    """Cytoplasm of the young forms: even, thick across from the dot, or open on one side."""
    outline = radius * wobble(on.angle, rng, 0.1)
    width = np.hypot(size * 0.055, 0.3 * soft)
    across = 0.5 - 0.5 * np.cos(on.angle - np.float32(at))  # 1 across from the dot
    if form == "signet":
        ring = band(on.distance, outline, width * (1 + 1.1 * across))
    elif form == "comma":
        middle = at + rng.choice((-1, 1)) * rng.uniform(0.9, 1.2)
        open_side = np.cos(on.angle - np.float32(middle))
        ring = band(on.distance, outline, 1.25 * width) * disc(-open_side, 0.35, 0.8)
    else:
        ring = band(on.distance, outline, width)
    vacuole = np.float32(0.13) * disc(on.distance, outline, soft)
    return ring + vacuole if form != "comma" else ring


def _mature(rng: np.random.Generator, on: Grid, size: float, stains: Stains, soft: float, at: float) -> Array:
    """A late form: a full irregular body, a vacuole, a large dot at its rim and brown grains of pigment."""
    radius = 0.46 * size
    body = disc(on.distance, radius * wobble(on.angle, rng, 0.2), 1.5 * soft)
    away = size * 0.1
    hole = spot(on, -away * np.cos(at), -away * np.sin(at), size * rng.uniform(0.17, 0.22), 1.5 * soft)
    cytoplasm = body * (1 - np.float32(0.8) * hole)
    reach = 0.27 * size
    chromatin = spot(on, reach * np.cos(at), reach * np.sin(at), size * rng.uniform(0.14, 0.17), soft)
    density = paint(cytoplasm * np.float32(rng.uniform(0.38, 0.55)), stains.azure) + paint(
        chromatin * np.float32(rng.uniform(0.75, 1.05)), stains.chromatin
    )
    for _ in range(rng.integers(2, 5)):
        turn, far = at + rng.uniform(1.5, 4.8), size * rng.uniform(0.2, 0.38)
        grain = spot(on, far * np.cos(turn), far * np.sin(turn), 0.035 * size, 0.7 * soft)
        density += paint(grain * body * np.float32(0.6), stains.blood)
    return density
