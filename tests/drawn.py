"""Small data sets that tests draw, and settings that train on them in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
SIDE = 64
"""Pixels of a drawn picture's sides."""

QUICK = {
    "augment": {"image_size": 64, "policy": "none"},
    "model": {"name": "fcos", "fpn_channels": 8, "fpn_levels": [3, 4], "num_head_convs": 1, "norm": "frozen"},
    "train": {"epochs": 1, "batch_size": 4, "schedule": "constant"},
    "evaluate": {"gallery_images": 2},
}
"""Sections of a detection task."""

QUICK_CLASSES = {
    "augment": {"image_size": 16, "policy": "none"},
    "model": {"name": "mlp", "hidden_units": [4], "norm": "none"},
    "train": {"epochs": 1, "batch_size": 4, "schedule": "constant"},
    "evaluate": {"gallery_images": 2},
}
"""Sections of a classification task."""


def draw_cells(folder: Path, labels: dict[str, str | None], subset: str = "train") -> pd.DataFrame:
    """Draw pictures with one dark square each, or none, in the layout of a Zindi competition.

    Args:
        folder: gets images/<name>.png; the rows that are returned are to be written as Train.csv or the like.
        labels: image's name without its ending -> class of its square; None = no square, labelled NEG.
        subset: also of the pictures' pixels, so that no two are alike.

    Returns:
        Columns Image_ID, class, xmin, ymin, xmax, ymax.
    """
    rows = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, (name, label) in enumerate(labels.items()):
        rng = np.random.default_rng([number, len(subset)])
        pixels = rng.integers(120, 250, (SIDE, SIDE, 3))
        left, top = (int(each) for each in rng.integers(2, SIDE - 26, 2))
        if label is not None:
            pixels[top : top + 24, left : left + 24] = 30
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{name}.png")
        corners = [left, top, left + 24, top + 24] if label is not None else [0] * 4
        rows.append({"Image_ID": f"{name}.png", "class": label or "NEG", **dict(zip(CORNERS, corners, strict=True))})
    return pd.DataFrame(rows)


def draw_classes(folder: Path, counts: dict[str, int]) -> None:
    """Draw pictures of noise in class folders: {"train/dark": 6, "test/bright": 2}."""
    for place, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([place, number])
            level = 40 if name.endswith("dark") else 160
            pixels = rng.integers(level, level + 60, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(
                folder / name / f"{place}_{number}.png"
            )
