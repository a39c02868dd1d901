"""Label tables of drawn photos in the competition's format, with faults like those of the competition's tables."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from smear_generator.field import Box
from smear_generator.strokes import generator

HEADER = ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]
CLASSES = ("NEG", "Trophozoite", "WBC")
ORDER, FAULTS = 2, 3  # first key of a random generator: what it is for
DOUBLED_SHARE = 0.03  # of the images with boxes, as in the competition


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
        return boxes[low] + np.ceil(share * (boxes[high] - boxes[low])).astype(int)

    return boxes.assign(ymin=inset("ymin", "ymax"), xmin=inset("xmin", "xmax"))
