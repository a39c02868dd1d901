"""Which pyramid levels and borders suit the boxes of a competition table at several image sizes.

    python benchmarks/box_levels.py [Train.csv [sizes.csv]]

The table is the downloaded one if none is named.
sizes.csv has the columns image_id, width and height. An image that it leaves out counts as the smallest photo of the
competition that its boxes fit into: 1920x1080, 4032x3016 or 4160x3120.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.models.anchors import MIN_BOX_STRIDES, fit_levels, fit_ranges

PHOTOS = [(1920, 1080), (4032, 3016), (4160, 3120)]
PACKED = [1024, 1536, 2048]
"""Pixels of the longer side that images are packed at."""
LEVELS = [2, 3, 4, 5, 6]
SIDES = ["xmax", "ymax"]


def longer_sides(boxes: pd.DataFrame, given: pd.DataFrame | None) -> pd.Series:
    """Longer side of each box's photo, in pixels, by image id."""
    reach = boxes.groupby("Image_ID")[SIDES].max()
    longer = pd.Series(float(max(PHOTOS[-1])), reach.index)
    for width, height in reversed(PHOTOS):
        # A pixel of slack: boxes of the largest reach are one pixel beyond the photo.
        longer[(reach["xmax"] <= width + 1) & (reach["ymax"] <= height + 1)] = max(width, height)
    if given is not None:
        longer.update(given.set_index("image_id")[["width", "height"]].max(axis=1).astype(float))
    return longer


def packed_boxes(boxes: pd.DataFrame, longer: pd.Series, packed: int) -> np.ndarray:
    """(n, 2) width and height in pixels of the packed images."""
    scale = packed / boxes["Image_ID"].map(longer).to_numpy()
    sizes = np.stack([boxes["xmax"] - boxes["xmin"], boxes["ymax"] - boxes["ymin"]], axis=1) * scale[:, None]
    return sizes[(sizes > 0).all(axis=1)]


def show_levels(sizes: dict[int, np.ndarray]) -> None:
    print("| longer side | median box | 5 % are under | " + " | ".join(f"below P{level}" for level in LEVELS) + " |")
    print("|---" * (3 + len(LEVELS)) + "|")
    for packed, each in sizes.items():
        sides = np.sqrt(each.prod(axis=1))
        shares = " | ".join(f"{share:.1%}" for share in shares_below(each))
        print(f"| {packed} px | {np.median(sides):.0f} px | {np.quantile(sides, 0.05):.0f} px | {shares} |")


def shares_below(sizes: np.ndarray) -> list[float]:
    """The share of boxes whose side, the root of the area, is below MIN_BOX_STRIDES of each level."""
    sides = np.sqrt(sizes.prod(axis=1))
    return [float((sides < MIN_BOX_STRIDES * 2**level).mean()) for level in LEVELS]


def show_fitted(sizes: dict[int, np.ndarray]) -> None:
    print("\n| longer side | levels | borders between levels (px) |")
    print("|---" * 3 + "|")
    for packed, each in sizes.items():
        levels = fit_levels(each)
        print(f"| {packed} px | {levels} | {fit_ranges(each, levels)} |")


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "data/raw/malaria/Train.csv")
    if not path.exists():
        print(f"There is no {path}; run `tropho download malaria`, or name a table.")
        return
    table = pd.read_csv(path)
    boxes = table[table["class"] != "NEG"]
    longer = longer_sides(boxes, pd.read_csv(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(
        f"{len(boxes)} boxes in {len(longer)} images; images by their longer side: {longer.value_counts().to_dict()}\n"
    )
    sizes = {packed: packed_boxes(boxes, longer, packed) for packed in PACKED}
    show_levels(sizes)
    show_fitted(sizes)


if __name__ == "__main__":
    main()
