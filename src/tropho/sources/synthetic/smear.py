"""Thick-smear photos: slides of several fields each, with the boxes of what is drawn on them."""

import string
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tropho.sources.synthetic.cameras import ROTA, Camera
from tropho.sources.synthetic.field import Disc, Look, ground, new_look, photograph, place_disc
from tropho.sources.synthetic.look_alikes import SMALL, SMALL_SHARES, Draw, blot, bubble, clump
from tropho.sources.synthetic.parasites import trophozoite
from tropho.sources.synthetic.shapes import Array
from tropho.sources.synthetic.white_cells import white_cell

SUBSETS = ("train", "test")  # their slides are never the same
VISIBLE = 0.1  # optical density from which a stroke counts as part of its object
ID_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Box:
    """What is drawn where: half-open integer pixels."""

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


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
        """The boxes an annotator of this camera's photos has drawn."""
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
    """Draw `count` photos, slide by slide, 3 to 10 of each; a quarter of them are without parasite and white cell.

    Photo number n is the same however many are asked for. `difficulty` runs from 0 to 1.
    """
    slide = drawn = 0
    while drawn < count:
        rng = _rng(seed, subset, 0, slide)
        look, density = new_look(rng, difficulty), rng.gamma(4.0, 1.0)
        for field in range(min(int(rng.integers(3, 11)), count - drawn)):
            negative = drawn % 4 == _rng(seed, subset, 1, drawn // 4).integers(4)
            own = _rng(seed, subset, 0, slide, field)
            yield _photo(own, slide, look, negative, density, difficulty)
            drawn += 1
        slide += 1


def _rng(seed: int, subset: str, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SUBSETS.index(subset), *key)))


def _photo(
    rng: np.random.Generator, slide: int, look: Look, negative: bool, density: float, difficulty: float
) -> Photo:
    image_id = f"id_{''.join(rng.choice(list(ID_LETTERS), 10))}.jpg"
    camera = ROTA[slide % len(ROTA)]
    disc = place_disc(rng, camera)
    plan = _plan(rng, camera, negative, density, difficulty)
    canvas = _Canvas(rng, camera, disc, ground(rng, camera, look))
    boxes = _draw(rng, canvas, plan, look, difficulty)
    picture = photograph(rng, canvas.density, camera, look, disc)
    quality = int(rng.integers(camera.quality[0], camera.quality[1] + 1))
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return Photo(image_id, slide, camera, jpeg.tobytes(), boxes)


def _plan(
    rng: np.random.Generator, camera: Camera, negative: bool, density: float, difficulty: float
) -> Plan:
    kind = rng.random()
    parasites = int(np.clip(1 + rng.poisson(density), 2, 12))
    white_cells = int(rng.integers(1, 7))
    if negative:
        parasites = white_cells = 0
    elif kind < 0.22:
        white_cells = 0
    elif kind < 0.30 and camera.labels_white_cells:  # else the photo would carry no label at all
        parasites = 0
    more = 0.5 + difficulty
    return Plan(
        parasites,
        white_cells,
        look_alikes=int(more * rng.integers(7, 17)),
        clumps=int(rng.random() < 0.4 * more) + int(rng.random() < 0.4 * more),
        bubbles=int(rng.integers(0, 3)),
        blots=int(rng.integers(8, 22)),
    )


class _Canvas:
    """A density picture that things are put on, clear of each other and of the dark edge."""

    def __init__(self, rng: np.random.Generator, camera: Camera, disc: Disc, density: Array) -> None:
        self.rng, self.camera, self.disc, self.density = rng, camera, disc, density
        self.taken: list[tuple[float, float, float]] = []

    def spot(self, radius: float, tries: int = 60) -> tuple[int, int] | None:
        """A free place with `radius` pixels around it; None where the field is full."""
        height, width = self.density.shape[1:]
        for x, y in self.rng.uniform((radius, radius), (width - radius, height - radius), (tries, 2)):
            inside = np.hypot(x - self.disc.x, y - self.disc.y) < 0.93 * self.disc.radius - radius
            if inside and all(np.hypot(x - a, y - b) > radius + r for a, b, r in self.taken):
                self.taken.append((x, y, radius))
                return int(x), int(y)
        return None

    def add(self, patch: Array, x: int, y: int) -> None:
        """Add a density (3, side, side) with its middle on (x, y); the part beyond the picture is cut off."""
        height, width = self.density.shape[1:]
        half = patch.shape[1] // 2
        rows = slice(max(0, y - half), min(height, y + half + 1))
        columns = slice(max(0, x - half), min(width, x + half + 1))
        top, left = y - half, x - half
        self.density[:, rows, columns] += patch[
            :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


def _draw(
    rng: np.random.Generator, canvas: _Canvas, plan: Plan, look: Look, difficulty: float
) -> tuple[Box, ...]:
    """Put the plan on the canvas, the labelled things first, since they need the room."""
    unit = canvas.camera.width * (0.043 - 0.021 * difficulty)  # usual width of a trophozoite, pixels
    zoom = canvas.camera.width / 640
    boxes = []
    for label, count in (("WBC", plan.white_cells), ("Trophozoite", plan.parasites)):
        for _ in range(count):
            size = unit * float(np.clip(rng.normal(1, 0.11), 0.75, 1.3)) * (1.95 if label == "WBC" else 1)
            place = canvas.spot(0.62 * size)
            if place is None:
                continue
            draw = white_cell if label == "WBC" else trophozoite
            patch = draw(rng, size, look.stains, zoom * rng.uniform(0.8, 1.5))
            canvas.add(patch, *place)
            boxes.append(_box(label, patch, *place, canvas.camera))
    for _ in range(plan.clumps):
        _put(canvas, clump, unit * rng.uniform(1.4, 2.4), look, zoom)
    for kind in rng.choice(len(SMALL), plan.look_alikes, p=SMALL_SHARES):
        _put(canvas, SMALL[kind], unit * float(np.clip(rng.normal(0.95, 0.15), 0.6, 1.4)), look, zoom)
    for _ in range(plan.bubbles):
        _put(canvas, bubble, unit * rng.uniform(0.8, 2.0), look, zoom)
    faint = look.stains.scaled(0.3)
    for _ in range(plan.blots):  # faint stain of the ground, under and over everything
        patch = blot(rng, unit * rng.uniform(0.5, 1.4), faint, 3 * zoom)
        x, y = rng.uniform((0, 0), (canvas.camera.width, canvas.camera.height)).astype(int)
        canvas.add(patch, int(x), int(y))
    return tuple(boxes)


def _put(canvas: _Canvas, draw: Draw, size: float, look: Look, zoom: float) -> None:
    place = canvas.spot(0.5 * size, tries=12)
    if place is not None:
        canvas.add(draw(canvas.rng, size, look.stains, zoom * canvas.rng.uniform(0.8, 1.6)), *place)


def _box(label: str, patch: Array, x: int, y: int, camera: Camera) -> Box:
    """The tight box of a patch's visible part, cut to the picture."""
    half = patch.shape[1] // 2
    rows, columns = np.nonzero(patch.max(axis=0) > VISIBLE)
    return Box(
        label,
        max(0, x - half + int(columns.min())),
        max(0, y - half + int(rows.min())),
        min(camera.width, x - half + int(columns.max()) + 1),
        min(camera.height, y - half + int(rows.max()) + 1),
    )
