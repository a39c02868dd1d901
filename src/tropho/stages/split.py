"""Stage 3, split: stratified folds that keep groups together, and a test set that shares no picture."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tropho import tables
from tropho.errors import DataError
from tropho.files import write_json
from tropho.progress import say
from tropho.settings import SplitSettings, TaskSettings
from tropho.stages.paths import Paths

FINEST = 20  # a hold-out is a number of parts of at most so many


def run(settings: TaskSettings, root: Path) -> pd.DataFrame:
    """Split what audit found usable; write root/data/splits/TASK.csv and, with its counts, TASK.json."""
    paths = Paths(root, settings.name)
    images = tables.read_table(paths.audit / "images.csv", tables.IMAGES)
    boxes = tables.read_table(paths.audit / "boxes.csv", tables.BOXES)
    splits = split(settings.split, images, boxes)
    summary = summarise(splits, images, boxes)
    tables.write_table(splits, paths.splits, tables.SPLITS)
    write_json(paths.splits.with_suffix(".json"), summary)
    for note in summary["notes"]:
        say(note)
    return splits


def split(settings: SplitSettings, images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Deal usable images into folds and, where no test set is published, a hold-out.

    Folds are stratified by class or, for detection, by the classes present and the image size. The result
    depends on the seed and on the images, not on the order of their rows.

    Args:
        settings: of the section `split`.
        images: tables.IMAGES.
        boxes: tables.BOXES.

    Returns:
        tables.SPLITS, training images first, in the order of `images`.

    Raises:
        DataError: no training image is usable, or a class has fewer groups than there are folds.
    """
    usable = images[images["status"] == "ok"]
    ordered = usable.sort_values("image_id").reset_index(drop=True)
    if not settings.grouped:
        ordered = ordered.assign(group=ordered["image_id"])
    _check_groups(ordered[ordered["subset"] == "train"], images, settings.folds)
    strata = _strata(ordered, boxes)
    subset = ordered["subset"].to_numpy(dtype=object)
    if not (images["subset"] == "test").any():
        subset[_held_out(settings, ordered["group"], strata)] = "test"
    if settings.drop_test_duplicates:
        in_test = set(ordered.loc[subset == "test", "duplicate"].dropna())
        subset[(subset == "train") & ordered["duplicate"].isin(in_test).to_numpy()] = "excluded"
    fold = np.full(len(ordered), -1)
    train = subset == "train"
    _check_groups(ordered[train], images, settings.folds)
    _check_classes(ordered[train], settings.folds)
    parts = _deal(ordered.loc[train, "group"], strata[train], settings.folds, settings.seed)
    fold[train] = parts
    dealt = ordered[["image_id"]].assign(subset=subset, fold=fold).set_index("image_id")
    splits = dealt.loc[usable["image_id"]].reset_index()
    splits["group"] = usable["group"].to_numpy()
    return tables.conform(splits, tables.SPLITS, "splits")


def _strata(images: pd.DataFrame, boxes: pd.DataFrame) -> np.ndarray:
    """A name for each image's kind, (N,): its class or, for detection, the classes in it and its size."""
    if images["label"].notna().any():
        return images["label"].fillna("").to_numpy(dtype=object)
    present = boxes.groupby("image_id")["label"].agg(lambda labels: "+".join(sorted(set(labels))))
    classes = images["image_id"].map(present).fillna("nothing").astype("object")
    sizes = (images["width"].astype("string") + "x" + images["height"].astype("string")).astype("object")
    # Rare sizes would be strata of one image each.
    common = sizes.map(sizes.value_counts()) >= len(images) / FINEST
    return (classes + " " + sizes.where(common, "other size")).to_numpy(dtype=object)


def _held_out(settings: SplitSettings, groups: pd.Series, strata: np.ndarray) -> np.ndarray:
    """Whether each image is set aside for test, (N,) bool: whole groups, as near the share as parts allow."""
    share = Fraction(settings.holdout).limit_denominator(max(2, min(FINEST, groups.nunique())))
    if not 0 < share < 1:
        if settings.holdout < 0.5:
            return np.zeros(len(groups), dtype=bool)
        raise DataError(f"split.holdout {settings.holdout:g} leaves no image to train on; lower it.")
    part = _deal(groups, strata, share.denominator, settings.seed)
    # A group larger than a part makes its part too large: those nearest to their due size are taken.
    excess = np.abs(np.bincount(part, minlength=share.denominator) - len(groups) / share.denominator)
    return np.isin(part, np.argsort(excess, kind="stable")[: share.numerator])


def _deal(groups: pd.Series, strata: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Part of each image, (N,) int, 0 to `parts` - 1: groups whole, strata as even as groups allow."""
    alone = groups.nunique() == len(groups)
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    folds = kind(n_splits=parts, shuffle=True, random_state=seed)
    part = np.zeros(len(groups), dtype=np.int64)
    codes = _not_rare(strata, parts)
    for number, (_, members) in enumerate(folds.split(codes, codes, None if alone else groups.to_numpy(dtype=object))):
        part[members] = number
    return part


def _not_rare(strata: np.ndarray, parts: int) -> np.ndarray:
    """Codes of the strata, those with fewer images than parts joined into one (or into the rarest other)."""
    names, codes, counts = np.unique(strata.astype(str), return_inverse=True, return_counts=True)
    rare = counts < parts
    if not rare.any() or rare.all():
        return np.zeros(len(strata), dtype=np.int64) if rare.all() else codes
    together = counts[rare].sum() >= parts
    target = len(names) if together else int(np.argmin(np.where(rare, counts.max() + 1, counts)))
    return np.where(rare, target, np.arange(len(names)))[codes]


def _check_groups(train: pd.DataFrame, images: pd.DataFrame, folds: int) -> None:
    groups = train["group"].nunique()
    if groups < folds:
        status = images.loc[images["subset"] == "train", "status"].value_counts()
        counts = ", ".join(f"{number:,} {name}" for name, number in status.items()) or "none at all"
        raise DataError(
            f"{groups} groups of usable training images can't be dealt into {folds} folds; "
            f"training images by status: {counts}; issues.csv of the audit says why."
        )


def _check_classes(train: pd.DataFrame, folds: int) -> None:
    """Without an image of each class in each fold, there would be nothing to measure the class on."""
    by_class = train.dropna(subset=["label"]).groupby("label")["group"].nunique()
    if len(by_class) and by_class.min() < folds:
        raise DataError(
            f"Class '{by_class.idxmin()}' has {by_class.min()} groups of training images for {folds} folds; "
            f"lower split.folds, or merge or drop the class with audit.class_map."
        )


def summarise(splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, Any]:
    """Counts by subset and fold, what training shares with the test set, and `notes` in words."""
    table = splits.merge(images[["image_id", "label", "subset"]], on="image_id", suffixes=("", "_published"))
    train, test = (table[table["subset"] == name] for name in ("train", "test"))
    excluded = int((table["subset"] == "excluded").sum())
    shared = train[train["group"].isin(test["group"])]
    published = bool((test["subset_published"] == "test").any())
    notes = [f"{len(train):,} training images in {train['fold'].nunique()} folds, {len(test):,} for test."]
    if excluded:
        notes.append(f"{excluded:,} training images are kept out, since the test set has them, exactly or nearly.")
    if len(shared):
        notes.append(
            f"{len(shared):,} training images share {shared['group'].nunique():,} groups with the "
            f"{'published ' if published else ''}test set, so its score flatters."
        )
    return {
        "notes": notes,
        "train": len(train),
        "test": len(test),
        "excluded": excluded,
        "test_published": published,
        "groups": int(train["group"].nunique()),
        "shared_groups": int(shared["group"].nunique()),
        "train_images_in_shared_groups": len(shared),
        "folds": [_content(part, boxes) for _, part in train.groupby("fold")],
        "test_content": _content(test, boxes),
    }


def _content(part: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, Any]:
    """Images, groups and, by class, images (or boxes) of a part."""
    inside = boxes[boxes["image_id"].isin(part["image_id"])]
    counts = part["label"].value_counts() if part["label"].notna().any() else inside["label"].value_counts()
    classes = {str(name): int(number) for name, number in counts.sort_index().items()}
    return {"images": len(part), "groups": int(part["group"].nunique()), "classes": classes}
