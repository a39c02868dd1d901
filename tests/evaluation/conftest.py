"""Labels with planted faults, and what a good model that never saw them would predict."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from member_predictions import cells, detecting, without_negative  # noqa: F401 - fixtures
from tropho.tables import BOX, BOXES, DETECTIONS, conform

SIDE = {"Trophozoite": 30.0, "WBC": 60.0}  # pixels
CELL = 100  # pixels; at most one object in each square of a grid
EMPTIED = ("im000.jpg", "im041.jpg")
OTHER = {"Trophozoite": "WBC", "WBC": "Trophozoite"}

Rows = list[tuple[str, str, float, float, float, float]]


@dataclass(frozen=True)
class Planted:
    """Images, annotated boxes, finds, and by kind the faults: rows of where an annotated or a missing box is."""

    images: pd.DataFrame
    boxes: pd.DataFrame
    predictions: pd.DataFrame
    faults: dict[str, Rows]

    def found(self, suspects: pd.DataFrame) -> pd.Series:
        """For each suspect whether it is a planted fault of its kind."""
        return pd.Series([any(_is(row, fault) for fault in self.faults[row.kind]) for row in suspects.itertuples()])


def _is(row, fault) -> bool:
    """Whether a suspect speaks of a fault: its annotated box exactly, or a find within 10 pixels of where it is."""
    given = np.array([getattr(row, f"given_{side}") for side in BOX], float)
    box = given if np.isfinite(given).all() else np.array([getattr(row, f"suggested_{side}") for side in BOX], float)
    return row.image_id == fault[0] and bool(np.abs(box - fault[2:]).max() < (1e-6 if box is given else 10.0))


def objects(rng: np.random.Generator, images: int) -> Rows:
    """What is there: up to eight objects an image of 400 x 300, none in every fourth."""
    rows: Rows = []
    for number in range(images):
        for cell in rng.permutation(12)[: 0 if number % 4 == 3 else int(rng.integers(4, 9))]:
            label = str(rng.choice(list(SIDE)))
            side = SIDE[label] * rng.uniform(0.8, 1.2)
            x, y = rng.uniform(2, CELL - side - 2, 2) + CELL * np.array([cell % 4, cell // 4])
            rows.append((f"im{number:03d}.jpg", label, *(float(each) for each in np.round([x, y, x + side, y + side]))))
    return rows


def finds(rng: np.random.Generator, true: Rows, images: int, recall: float = 0.97) -> pd.DataFrame:
    """At `recall` of the objects a sure find (and an unsure one of the other class), at most others an unsure one;
    false alarms; P(negative).
    """
    rows = []
    for image_id, label, *box in true:
        found = np.array(box) + rng.normal(0, 0.03 * SIDE[label], 4)
        if rng.random() < recall:
            rows.append((image_id, label, rng.beta(9, 2), *found))
            rows.append((image_id, OTHER[label], rng.beta(1, 12), *found))
        elif rng.random() < 0.8:
            rows.append((image_id, label, rng.beta(2, 6), *found))
    for number in range(images):
        for _ in range(3):
            label = str(rng.choice(list(SIDE)))
            x, y = rng.uniform(0, 300), rng.uniform(0, 200)
            box = (x, y, x + SIDE[label], y + SIDE[label])
            rows.append((f"im{number:03d}.jpg", label, rng.beta(1, 8), *box))
        empty = number % 4 == 3
        rows.append((f"im{number:03d}.jpg", "NEG", rng.beta(9, 2) if empty else rng.beta(2, 9), 0, 0, 0, 0))
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)


def faulty(rng: np.random.Generator, true: Rows, each: int) -> tuple[Rows, dict[str, Rows]]:
    """Labels with `each` faults of every kind, no object with two; EMPTIED images have lost all their labels."""
    seen = [row for row in true if row[0] not in EMPTIED]
    faults: dict[str, Rows] = {"not_negative": [row for row in true if row[0] in EMPTIED]}
    lots = rng.permutation(len(seen))[: 4 * each].reshape(4, each)
    gone, swapped, moved, doubled = ([seen[index] for index in lot] for lot in lots)
    faults["overlooked"] = gone
    faults["swap"] = [(image_id, OTHER[label], *box) for image_id, label, *box in swapped]
    faults["badloc"] = [(*names, x + (z - x) / 2, y, z + (z - x) / 2, w) for *names, x, y, z, w in moved]  # IoU 1/3
    faults["duplicate"] = [(*names, x + 4, y + 4, z, w) for *names, x, y, z, w in doubled]
    faults["spurious"] = ghosts(rng, seen, each)
    kept = [row for row in seen if row not in {*gone, *swapped, *moved}]
    added = ("swap", "badloc", "duplicate", "spurious")
    return kept + [row for kind in added for row in faults[kind]], faults


def ghosts(rng: np.random.Generator, true: Rows, count: int) -> Rows:
    """Boxes in squares of the grid that hold nothing, in images that hold something."""
    full = {(name, int(x // CELL), int(y // CELL)) for name, _, x, y, *_ in true}
    places = [(name, x, y) for name in sorted({row[0] for row in true}) for x in range(4) for y in range(3)]
    free = [place for place in places if place not in full]
    chosen = [free[index] for index in rng.permutation(len(free))[:count]]
    corners = [(name, x * CELL + 20.0, y * CELL + 20.0) for name, x, y in chosen]
    return [(name, "WBC", x, y, x + 60, y + 60) for name, x, y in corners]


@pytest.fixture(scope="session")
def planted() -> Planted:
    """120 images with twelve faults of each kind; two images have lost all their labels."""
    rng = np.random.default_rng(5)
    true = objects(rng, 120)
    predictions = finds(rng, true, 120)
    labels, faults = faulty(rng, true, 12)
    boxes = conform(pd.DataFrame(labels, columns=list(BOXES)[:-1]), BOXES)
    images = pd.DataFrame({"image_id": [f"im{number:03d}.jpg" for number in range(120)], "width": 400, "height": 300})
    return Planted(images, boxes, predictions, faults)
