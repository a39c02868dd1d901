"""Thick-smear photos of slides with several fields each, and label tables of them in the competition's format."""

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

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

SLIDE, NEGATIVES, ORDER, FAULTS = range(4)  # first key of a random generator
ID_LETTERS = list(string.ascii_lowercase + string.digits)
WHITE_CELL_SIZE = 1.95  # of a trophozoite's, as in the competition's boxes
HEADER = ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]
CLASSES = ("NEG", "Trophozoite", "WBC")
DOUBLED_SHARE = 0.03  # of the images with boxes, as in the competition


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
    bubbles, blots = (int(rng.integers(*limits)) for limits in ((0, 3), (8, 22)))
    return Plan(parasites, white_cells, look_alikes, clumps, bubbles, blots)


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


def truth_table(labelled: Iterable[tuple[str, tuple[Box, ...]]]) -> pd.DataFrame:
    """Build the label table: a row per box; a NEG row with box 0,0,0,0 for an image without boxes.

    Returns: columns HEADER; coordinates are integer pixels.
    """
    rows: list[tuple[object, ...]] = []
    for image_id, boxes in labelled:
        rows += [(image_id, box.label, 1.0, box.ymin, box.xmin, box.ymax, box.xmax) for box in boxes]
        if not boxes:
            rows.append((image_id, "NEG", 1.0, 0, 0, 0, 0))
    return pd.DataFrame(rows, columns=HEADER)


def test_table(image_ids: list[str]) -> pd.DataFrame:
    """Build Test.csv: the ids to predict, every other cell empty."""
    return pd.DataFrame({"Image_ID": image_ids}).reindex(columns=HEADER)


def sample_table(image_ids: list[str]) -> pd.DataFrame:
    """Build SampleSubmission.csv: three placeholder rows per image."""
    ids = np.repeat(sorted(image_ids), len(CLASSES))
    table = pd.DataFrame({"Image_ID": ids, "class": list(CLASSES) * len(image_ids), "confidence": 0.5})
    return table.assign(ymin=100, xmin=100, ymax=100, xmax=100)


def shuffled(table: pd.DataFrame, seed: int, subset: str) -> pd.DataFrame:
    """Shuffle the rows, so that their order does not reveal slides."""
    order = generator(seed, subset, ORDER).permutation(len(table))
    return table.iloc[order].reset_index(drop=True)


def plant_faults(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Append one zero-height box, and duplicate boxes (IoU >= 0.5) of a few objects.

    A duplicate is up to an eighth tighter on two sides, as another annotator might draw it.

    Returns: the longer table, and image ids by fault: zero_height, doubled.
    """
    rng = generator(seed, "train", FAULTS)
    parasites = table.index[table["class"] == "Trophozoite"].to_numpy()
    if not len(parasites):
        return table, {"zero_height": [], "doubled": []}
    flat = table.loc[[rng.choice(parasites)]].assign(ymax=lambda row: row["ymin"])
    boxed = table[table["class"] != "NEG"]
    images = np.sort(boxed["Image_ID"].unique())
    picked = rng.choice(images, max(1, round(DOUBLED_SHARE * len(images))), replace=False)
    duplicates = [
        _tighter(rng, boxed[boxed["Image_ID"] == image].sample(frac=0.5, random_state=rng)) for image in picked
    ]
    faults = {"zero_height": flat["Image_ID"].tolist(), "doubled": [str(image) for image in np.sort(picked)]}
    return pd.concat([table, flat, *duplicates], ignore_index=True), faults


def _tighter(rng: np.random.Generator, boxes: pd.DataFrame) -> pd.DataFrame:
    def inset(low: str, high: str) -> pd.Series:
        share = rng.uniform(0.04, 0.125, len(boxes))
        return boxes[low].add(np.ceil(share * (boxes[high] - boxes[low])).astype(int))

    return boxes.assign(ymin=inset("ymin", "ymax"), xmin=inset("xmin", "xmax"))
