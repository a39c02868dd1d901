"""Thick-smear photos of slides with several fields each, and the boxes of the objects on them."""

import string
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from smear_generator.field import (
    CAMERAS,
    Box,
    Camera,
    Canvas,
    Look,
    ground,
    new_look,
    photograph,
    place_disc,
    stamp,
    tight_box,
)
from smear_generator.objects import SMALL, SMALL_SHARES, Draw, blot, bubble, clump, trophozoite, white_cell
from smear_generator.strokes import generator

SLIDE, NEGATIVES = 0, 1  # first key of a random generator
ID_LETTERS = list(string.ascii_lowercase + string.digits)
WHITE_CELL_SIZE = 1.95  # of a trophozoite's, as in the competition's boxes


@dataclass(frozen=True)
class Photo:
    """One field of one slide; `boxes` includes objects that the competition leaves unlabelled."""

    image_id: str
    slide: int
    camera: Camera
    jpeg: bytes
    boxes: tuple[Box, ...]

    @property
    def labelled(self) -> tuple[Box, ...]:
        """Return the boxes that the annotators of this camera's photos drew."""
        all_labelled = self.camera.labels_white_cells
        return tuple(box for box in self.boxes if all_labelled or box.label != "WBC")


@dataclass(frozen=True)
class Plan:
    """Number of objects of each kind in a photo."""

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
    camera = CAMERAS[slide % len(CAMERAS)]
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
    """Draw the numbers of objects; `burden` is the mean number of parasites, and a negative photo has no boxes."""
    kind = rng.random()
    parasites = int(np.clip(1 + rng.poisson(burden), 2, 12))
    white_cells = int(rng.integers(1, 7))
    more = 0.5 + difficulty
    look_alikes = int(more * rng.integers(7, 17))
    clumps = int(rng.binomial(3, 0.4 * more))
    # Look-alikes replace the missing objects, so that the number of dark objects does not reveal the class.
    if negative or kind < 0.22:
        clumps, white_cells = clumps + white_cells // 2, 0
    without_parasites = 0.22 <= kind < 0.30 and camera.labels_white_cells  # else the photo would have no label
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
    """Place the planned objects on the canvas, labelled ones first, while there is room."""
    rng = canvas.rng
    zoom = camera.width / 640
    unit = camera.width * (0.043 - 0.021 * difficulty)  # usual width of a trophozoite, pixels
    boxes = []
    for label, draw, count in (
        ("WBC", white_cell, plan.white_cells),
        ("Trophozoite", trophozoite, plan.parasites),
    ):
        for size in unit * rng.normal(1, 0.11, count).clip(0.75, 1.3):
            width = float(size) * (WHITE_CELL_SIZE if label == "WBC" else 1)
            if (place := canvas.place(0.62 * width, tries=60)) is not None:
                patch = draw(rng, width, look.stains, zoom * rng.uniform(0.8, 1.5))
                stamp(canvas.density, patch, *place)
                boxes.append(tight_box(label, canvas.density, patch, *place))
    for size in unit * rng.uniform(1.4, 2.4, plan.clumps):
        _add_look_alike(canvas, clump, size, look, zoom)
    kinds = rng.choice(len(SMALL), plan.look_alikes, p=SMALL_SHARES)
    for kind, size in zip(kinds, unit * rng.normal(0.95, 0.15, len(kinds)).clip(0.6, 1.4), strict=True):
        _add_look_alike(canvas, SMALL[kind], size, look, zoom)
    for size in unit * rng.uniform(0.8, 2.0, plan.bubbles):
        _add_look_alike(canvas, bubble, size, look, zoom)
    faint = look.stains.scaled(0.3)
    for size in unit * rng.uniform(0.5, 1.4, plan.blots):  # stained ground, under and over everything
        x, y = rng.integers(0, (camera.width, camera.height))
        stamp(canvas.density, blot(rng, float(size), faint, 3 * zoom), int(x), int(y))
    return tuple(boxes)


def _add_look_alike(canvas: Canvas, draw: Draw, size: float, look: Look, zoom: float) -> None:
    if (place := canvas.place(0.5 * size, tries=12)) is not None:
        patch = draw(canvas.rng, float(size), look.stains, zoom * canvas.rng.uniform(0.8, 1.6))
        stamp(canvas.density, patch, *place)
