"""Objects on a slide: parasites, white cells, and look-alikes that share their colour and size but not their structure.

Each is drawn as a density (3, side, side); `size` is its width and `soft` the width of its edges, in pixels.
"""

from collections.abc import Callable

import numpy as np

from smear_generator.strokes import Array, Grid, Stains, band, disc, grain, grid, paint, spot, wobble

TROPHOZOITE_FORMS = ("ring", "signet", "comma", "mature")
FORM_SHARES = (0.34, 0.28, 0.14, 0.24)


def trophozoite(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw a trophozoite of *Plasmodium falciparum*: a dense dot of chromatin on a ring of blue cytoplasm."""
    on = grid(0.8 * size + 2 * soft, stretch=rng.uniform(0.85, 1.18), turn=rng.uniform(0, np.pi))
    form = TROPHOZOITE_FORMS[rng.choice(len(TROPHOZOITE_FORMS), p=FORM_SHARES)]
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
    """Draw the cytoplasm of the young forms: even, thick across from the dot, or open on one side."""
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
    """Draw a late form: a full irregular body, a vacuole, a large dot at its rim and brown grains of pigment."""
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


WHITE_CELL_KINDS = ("neutrophil", "lymphocyte", "monocyte")
KIND_SHARES = (0.6, 0.25, 0.15)


def white_cell(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw a white cell: a large dark nucleus, lobed, round or bent, in pale ragged cytoplasm."""
    on = grid(0.62 * size + 2 * soft, stretch=rng.uniform(0.85, 1.18), turn=rng.uniform(0, np.pi))
    kind = WHITE_CELL_KINDS[rng.choice(len(WHITE_CELL_KINDS), p=KIND_SHARES)]
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
    """Draw two to five lobes in a bow, each touching the next."""
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
    """Draw one large round nucleus."""
    return disc(on.distance, size * rng.uniform(0.33, 0.39) * wobble(on.angle, rng, 0.06), 1.4 * soft)


def _bent(rng: np.random.Generator, on: Grid, size: float, soft: float) -> Array:
    """Draw a kidney-shaped nucleus: a round nucleus with a bay."""
    bay = spot(on, size * 0.38, 0.0, size * rng.uniform(0.17, 0.23), 0.1 * size + soft)
    return disc(on.distance, 0.37 * size * wobble(on.angle, rng, 0.08), 1.4 * soft) * (1 - bay)


Draw = Callable[[np.random.Generator, float, Stains, float], Array]


def platelet(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw a platelet: a granular magenta to violet body without dot, ring or vacuole."""
    on = grid(0.75 * size + 2 * soft, stretch=rng.uniform(0.6, 1.6), turn=rng.uniform(0, np.pi))
    body = disc(on.distance, 0.4 * size * wobble(on.angle, rng, 0.22), 2.2 * soft)
    grains = np.clip(1 + np.float32(0.4) * grain(rng, body.shape, (6, 6)), 0.3, 1.9)
    share = np.float32(rng.uniform(0.2, 0.8))
    amount = body * grains * np.float32(rng.uniform(0.3, 0.6))
    return paint(amount * share, stains.granule) + paint(amount * (1 - share), stains.azure)


def precipitate(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw crystals of stain: one to six bare dark dots, as dense as chromatin."""
    on = grid(0.75 * size + 2 * soft)
    amount = np.zeros_like(on.x)
    for _ in range(rng.integers(1, 7)):
        x, y = rng.normal(0, 0.2 * size, 2).clip(-0.45 * size, 0.45 * size)
        radius = size * rng.uniform(0.06, 0.17)
        amount = np.maximum(amount, np.float32(rng.uniform(0.6, 1.0)) * spot(on, x, y, radius, soft))
    return paint(amount, stains.chromatin if rng.random() < 0.6 else stains.nucleus)


def blot(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw a soft blue blot of stain, as dark as cytoplasm."""
    on = grid(0.9 * size + soft, stretch=rng.uniform(0.45, 2.2), turn=rng.uniform(0, np.pi))
    amount = disc(on.distance, 0.42 * size * wobble(on.angle, rng, 0.35), 0.16 * size + 2 * soft)
    amount *= np.clip(1 + np.float32(0.35) * grain(rng, amount.shape, (4, 4)), 0.2, 1.8)
    return paint(amount * np.float32(rng.uniform(0.25, 0.65)), stains.azure)


def ghost(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw the ghost of a red cell: a blue ring, whole or broken, with no dot on it."""
    on = grid(0.8 * size + 2 * soft, stretch=rng.uniform(0.75, 1.35), turn=rng.uniform(0, np.pi))
    radius = size * rng.uniform(0.32, 0.5) * wobble(on.angle, rng, 0.14)
    ring = band(on.distance, radius, np.hypot(0.06 * size, 0.4 * soft))
    gap = np.cos(on.angle - np.float32(rng.uniform(0, 2 * np.pi)))
    ring *= 1 - np.float32(rng.uniform(0, 0.9)) * np.clip(gap, 0, 1)
    amount = ring + np.float32(rng.uniform(0, 0.2)) * disc(on.distance, radius, soft)
    return paint(amount * np.float32(rng.uniform(0.35, 0.7)), stains.azure)


def clump(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw a ragged clump of stain, large and dark as a white cell, without cytoplasm."""
    on = grid(0.95 * size + 2 * soft, stretch=rng.uniform(0.6, 1.7), turn=rng.uniform(0, np.pi))
    rough = grain(rng, on.x.shape, (9, 9)) + grain(rng, on.x.shape, (4, 4))
    edge = on.distance / (0.42 * size) + np.float32(0.22) * rough
    amount = disc(edge, 1.0, 0.35) * np.clip(0.8 + np.float32(0.3) * rough, 0.15, 1.5)
    hue = np.float32(rng.uniform(0.3, 0.9))
    amount *= np.float32(rng.uniform(0.7, 1.2))
    return paint(amount * hue, stains.azure) + paint(amount * (1 - hue), stains.nucleus)


def bubble(rng: np.random.Generator, size: float, stains: Stains, soft: float = 1.0) -> Array:
    """Draw a hole in the film: brighter than the ground, with a dark refracting rim."""
    on = grid(0.8 * size + 2 * soft, stretch=rng.uniform(0.6, 1.6), turn=rng.uniform(0, np.pi))
    radius = 0.38 * size * wobble(on.angle, rng, 0.2)
    rim = band(on.distance, radius, np.hypot(0.04 * size, 0.4 * soft))
    inside = disc(on.distance, radius, soft)
    return paint(rim * np.float32(rng.uniform(0.2, 0.5)), stains.lilac) - paint(
        inside * np.float32(rng.uniform(0.1, 0.25)), stains.blood + np.float32(0.5) * stains.lilac
    )


SMALL: tuple[Draw, ...] = (platelet, precipitate, blot, ghost)  # the size of a parasite
SMALL_SHARES = (0.34, 0.24, 0.24, 0.18)
