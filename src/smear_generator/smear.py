"""Thick-smear photos: slides of several fields each, with the boxes of what is drawn on them."""

import string
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from smear_generator.cameras import ROTA, Camera
from smear_generator.canvas import Box, Canvas, stamp, tight_box
from smear_generator.drawing_seeds import generator
from smear_generator.field import Look, ground, new_look, photograph, place_disc
from smear_generator.look_alikes import SMALL, SMALL_SHARES, Draw, blot, bubble, clump
from smear_generator.parasites import trophozoite
from smear_generator.white_cells import white_cell

SLIDE, NEGATIVES = 0, 1  # first key of a random generator: what it is for
ID_LETTERS = list(string.ascii_lowercase + string.digits)
WHITE_CELL_SIZE = 1.95  # of a trophozoite's, as in the competition's boxes


@dataclass(frozen=True)
class Photo:
    """One field of one slide; `boxes` holds everything drawn, also what the competition leaves unlabelled."""

    image_id: str
    slide: int
    camera: Camera
    jpeg: bytes
    boxes: tuple[Box, ...]

    @property
    def labelled(self) -> tuple[Box, ...]:
        """The boxes that annotators gave photos of this camera."""
        keep_all = self.camera.labels_white_cells
        return tuple(box for box in self.boxes if keep_all or box.label != "WBC")


@dataclass(frozen=True)
class Plan:
    """How many of each thing a photo gets."""

    parasites: int
    white_cells: int
    look_alikes: int
    clumps: int
    bubbles: int
    blots: int


def photos(seed: int, count: int, subset: str, difficulty: float) -> Iterator[Photo]:
    """Draw `count` photos of the subset "train" or "test", slide by slide, 3 to 10 of each.

    One of every four is without parasite and white cell. Photo n is the same however many are asked for. With
    `difficulty` (0 to 1) parasites get finer, look-alikes more, and slides less sharp and less alike.
    """
    slide = drawn = 0
    while drawn < count:
        rng = generator(seed, subset, SLIDE, slide)
        look, burden = new_look(rng, difficulty), rng.gamma(4.0, 1.0)
        for field in range(min(int(rng.integers(3, 11)), count - drawn)):
            negative = drawn % 4 == generator(seed, subset, NEGATIVES, drawn // 4).integers(4)
            own = generator(seed, subset, SLIDE, slide, field)
            yield _photo(own, slide, look, bool(negative), burden, difficulty)
            drawn += 1
        slide += 1


def _photo(rng: np.random.Generator, slide: int, look: Look, negative: bool, burden: float, difficulty: float) -> Photo:
    image_id = f"id_{''.join(rng.choice(ID_LETTERS, 10))}.jpg"
    camera = ROTA[slide % len(ROTA)]
    disc = place_disc(rng, camera)
    plan = _plan(rng, camera, negative, burden, difficulty)
    canvas = Canvas(rng, disc, ground(rng, camera, look))
    boxes = _draw(canvas, plan, camera, look, difficulty)
    picture = photograph(rng, canvas.density, camera, look, disc)
    quality = int(rng.integers(camera.quality[0], camera.quality[1] + 1))
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Photo(image_id, slide, camera, jpeg.tobytes(), boxes)


def _plan(rng: np.random.Generator, camera: Camera, negative: bool, burden: float, difficulty: float) -> Plan:
    """`burden` is about the parasites a field of the slide has; a negative photo has neither class."""
    kind = rng.random()
    parasites = int(np.clip(1 + rng.poisson(burden), 2, 12))
    white_cells = int(rng.integers(1, 7))
    more = 0.5 + difficulty
    look_alikes = int(more * rng.integers(7, 17))
    clumps = int(rng.binomial(3, 0.4 * more))
    # Look-alikes stand in for what is left out: the number of dark things must not give the answer away.
    if negative or kind < 0.22:
        clumps, white_cells = clumps + white_cells // 2, 0
    without_parasites = 0.22 <= kind < 0.30 and camera.labels_white_cells  # else no label would be left
    if negative or without_parasites:
        look_alikes, parasites = look_alikes + parasites, 0
    return Plan(
        parasites,
        white_cells,
        look_alikes,
        clumps,
        bubbles=int(rng.integers(0, 3)),
        blots=int(rng.integers(8, 22)),
    )


def _draw(canvas: Canvas, plan: Plan, camera: Camera, look: Look, difficulty: float) -> tuple[Box, ...]:
    """Put the plan on the canvas, the labelled things first, since they must find room."""
    rng = canvas.rng
    zoom = camera.width / 640
    unit = camera.width * (0.043 - 0.021 * difficulty)  # usual width of a trophozoite, pixels
    boxes = []
    for label, draw, count in (
        ("WBC", white_cell, plan.white_cells),
        ("Trophozoite", trophozoite, plan.parasites),
    ):
        for size in unit * rng.normal(1, 0.11, count).clip(0.75, 1.3):
            whole = float(size) * (WHITE_CELL_SIZE if label == "WBC" else 1)
            if (place := canvas.place(0.62 * whole, tries=60)) is not None:
                patch = draw(rng, whole, look.stains, zoom * rng.uniform(0.8, 1.5))
                stamp(canvas.density, patch, *place)
                boxes.append(tight_box(label, canvas.density, patch, *place))
    for size in unit * rng.uniform(1.4, 2.4, plan.clumps):
        _litter(canvas, clump, size, look, zoom)
    kinds = rng.choice(len(SMALL), plan.look_alikes, p=SMALL_SHARES)
    for kind, size in zip(kinds, unit * rng.normal(0.95, 0.15, len(kinds)).clip(0.6, 1.4), strict=True):
        _litter(canvas, SMALL[kind], size, look, zoom)
    for size in unit * rng.uniform(0.8, 2.0, plan.bubbles):
        _litter(canvas, bubble, size, look, zoom)
    faint = look.stains.scaled(0.3)
    for size in unit * rng.uniform(0.5, 1.4, plan.blots):  # stained ground, under and over everything
        x, y = rng.integers(0, (camera.width, camera.height))
        stamp(canvas.density, blot(rng, float(size), faint, 3 * zoom), int(x), int(y))
    return tuple(boxes)


def _litter(canvas: Canvas, draw: Draw, size: float, look: Look, zoom: float) -> None:
    if (place := canvas.place(0.5 * size, tries=12)) is not None:
        patch = draw(canvas.rng, float(size), look.stains, zoom * canvas.rng.uniform(0.8, 1.6))
        stamp(canvas.density, patch, *place)
