"""How even folds are: Tropho's dealing beside scikit-learn's StratifiedGroupKFold on the same joint strata.

    python benchmarks/fold_balance.py [data/audit/TASK | Train.csv]...

A folder holds audited tables. A competition table has no sizes and no slides, so both are made up: an image counts as
the smallest photo of the competition that its boxes fit into, empty ones as any of the three, and slides are runs of 1
to 40 images of one size with like numbers of objects. Printed is the largest deviation of a fold from the mean over
folds in any trait: images, boxes or images by class, images without boxes, images by resolution.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from box_levels import PHOTOS, longer_sides
from sklearn.model_selection import StratifiedGroupKFold

from tropho.data.split.folds import assign_folds, stratification_targets
from tropho.tables import BOXES, IMAGES, read_table

FOLDS = 5
SEEDS = range(5)
HEIGHTS = {max(photo): min(photo) for photo in PHOTOS}


def audited(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    images = read_table(folder / "images.csv", IMAGES)
    images = images[(images["status"] == "ok") & (images["subset"] == "train")]
    return images, read_table(folder / "boxes.csv", BOXES)


def competition(table: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = pd.read_csv(table)
    rng = np.random.default_rng(0)
    sides = longer_sides(rows, None).sort_index()
    empty = sides.index.isin(rows.loc[rows["class"] == "NEG", "Image_ID"])
    sides[empty] = rng.choice(list(HEIGHTS), empty.sum(), p=[0.5, 0.3, 0.2])
    boxes = rows[rows["class"] != "NEG"].rename(columns={"Image_ID": "image_id", "class": "label"})
    objects = boxes["image_id"].value_counts().reindex(sides.index, fill_value=0)
    likeness = np.log1p(objects.to_numpy()) + rng.normal(0, 0.7, len(sides))
    slide_ends = np.cumsum(np.minimum(rng.geometric(1 / 8, len(sides)), 40))
    slides = np.empty(len(sides), np.int64)
    slides[np.lexsort((likeness, sides))] = np.searchsorted(slide_ends, np.arange(len(sides)), side="right")
    images = {"image_id": sides.index, "width": sides.astype(int).to_numpy(), "group": slides, "label": pd.NA}
    return pd.DataFrame(images).assign(height=lambda each: each["width"].map(HEIGHTS)), boxes


def stratified(groups: pd.Series, strata: np.ndarray, seed: int) -> np.ndarray:
    part = np.zeros(len(groups), np.int64)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(folds.split(strata, strata, groups)):
        part[members] = number
    return part


def main(sources: list[str]) -> None:
    print("| data | images | groups | StratifiedGroupKFold | Tropho |")
    print("|---" * 5 + "|")
    for source in map(Path, sources):
        images, boxes = audited(source) if source.is_dir() else competition(source)
        images = images.sort_values("image_id").reset_index(drop=True)
        traits = stratification_targets(images, boxes, FOLDS)
        groups = images["group"]
        found = {"theirs": [], "ours": []}
        for seed in SEEDS:
            for name, part in (
                ("theirs", stratified(groups.astype(str), traits.strata, seed)),
                ("ours", assign_folds(groups, traits, FOLDS, seed)),
            ):
                found[name].append(traits.imbalance(part).abs().to_numpy().max())
        told = " | ".join(f"{min(each):.1%} to {max(each):.1%}" for each in found.values())
        print(f"| {source.parent.name}/{source.name} | {len(images):,} | {groups.nunique():,} | {told} |")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "The least populated class")
    main(sys.argv[1:] or [str(path) for path in sorted(Path("data/audit").iterdir())])
