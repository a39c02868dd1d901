"""Stage 3, split: stratified folds that keep groups together, and a test set that shares no picture."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from tropho import tables
from tropho.data_settings import SplitSettings
from tropho.errors import DataError, UsageError
from tropho.files import write_json
from tropho.progress import say
from tropho.settings import TaskSettings
from tropho.splitting.dealing import deal
from tropho.splitting.summary import FINEST, summarise
from tropho.splitting.traits import traits_of
from tropho.stages.paths import Paths


def run(settings: TaskSettings, root: Path) -> pd.DataFrame:
    """Split what audit found usable; write root/data/splits/TASK.csv and, with its counts, TASK.json."""
    paths = Paths(root, settings.name)
    images = tables.read_table(paths.audit / "images.csv", tables.IMAGES)
    boxes, _ = tables.split_regions(tables.read_table(paths.audit / "boxes.csv", tables.BOXES))
    if settings.kind == "detection":
        _check_objects(images, boxes)
    splits = split(settings.split, images, boxes)
    summary = summarise(splits, images, boxes, settings.split.validation == "published", settings.split.holdout)
    tables.write_table(splits, paths.splits, tables.SPLITS)
    write_json(paths.splits.with_suffix(".json"), summary)
    for note in summary["notes"]:
        say(note)
    return splits


def split(settings: SplitSettings, images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Deal usable images into folds and, where no test set is published, a hold-out.

    Folds, and the hold-out, have alike what splitting.traits names. The result depends on the seed and on the images,
    not on the order of their rows. A published validation set is dealt out with the training images or, where the
    settings say so, is fold 0, and all training images are fold 1.

    Args:
        settings: of the section `split`.
        images: tables.IMAGES.
        boxes: tables.BOXES.

    Returns:
        tables.SPLITS, training images first, in the order of `images`.

    Raises:
        UsageError: the settings ask for a published validation set, and there is none.
        DataError: no training image is usable, or a class has fewer groups than there are folds.
    """
    published = settings.validation == "published"
    if published and not (images["subset"] == "validation").any():
        raise UsageError(
            "split.validation is 'published', but the data set publishes no validation images; set it to merged."
        )
    usable = images[images["status"] == "ok"]
    ordered = usable.sort_values("image_id").reset_index(drop=True)
    if not settings.grouped:
        ordered = ordered.assign(group=ordered["image_id"])
    subset = ordered["subset"].to_numpy(dtype=object, copy=True)
    if not published:
        subset[subset == "validation"] = "train"
    folds = 1 if published else settings.folds
    _check_groups(ordered[subset == "train"], images, folds)
    _check_more_than_one_class(ordered.loc[subset == "train", "label"])
    if not (images["subset"] == "test").any():
        _hold_out(settings, subset, ordered, boxes)
    if settings.drop_test_duplicates:
        _exclude_copies(subset, ordered["duplicate"])
    fold = np.full(len(ordered), -1)
    train = subset == "train"
    dealt = ordered[train]
    _check_groups(dealt, images, folds)
    if published:
        fold[train], fold[_taken_in(subset)] = 1, 0
    else:
        _check_classes(dealt, folds)
        fold[train] = deal(dealt["group"], traits_of(dealt, boxes, folds), folds, settings.seed)
    table = ordered[["image_id"]].assign(subset=subset, fold=fold).set_index("image_id")
    splits = table.loc[usable["image_id"]].reset_index()
    splits["group"] = usable["group"].to_numpy()
    return tables.conform(splits, tables.SPLITS, "splits")


def _hold_out(settings: SplitSettings, subset: np.ndarray, images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Change some of the training images to "test", none of a group that the published validation set has.

    With fewer than two such groups none is changed: a single one can't be divided, and may be all that trains.
    """
    groups = images["group"]
    free = np.flatnonzero((subset == "train") & ~groups.isin(groups[subset == "validation"]).to_numpy())
    if groups.iloc[free].nunique() < 2:
        return
    held = _held_out(settings, images.iloc[free].reset_index(drop=True), boxes)
    subset[free[held]] = "test"


def _exclude_copies(subset: np.ndarray, duplicate: pd.Series) -> None:
    """Change to "excluded" what shows the same as a test image, and training images that show a validation image."""
    for judged, others in (("test", ("train", "validation")), ("validation", ("train",))):
        known = set(duplicate[subset == judged].dropna())
        subset[np.isin(subset.astype(str), others) & duplicate.isin(known).to_numpy()] = "excluded"


def _taken_in(subset: np.ndarray) -> np.ndarray:
    """Change "validation" to "train"; whether each image was that, (N,) bool."""
    validation = subset == "validation"
    if not validation.any():
        raise DataError(
            "No image of the published validation set can be used (issues.csv of the audit says why, or the test set "
            "has them all); set split.validation to merged."
        )
    subset[validation] = "train"
    return validation


def _held_out(settings: SplitSettings, images: pd.DataFrame, boxes: pd.DataFrame) -> np.ndarray:
    """Whether each image is set aside for test, (N,) bool: whole groups, as near the share as parts allow."""
    share = Fraction(settings.holdout).limit_denominator(max(2, min(FINEST, images["group"].nunique())))
    if not 0 < share < 1:
        if settings.holdout < 0.5:
            return np.zeros(len(images), dtype=bool)
        raise DataError(f"split.holdout {settings.holdout:g} leaves no image to train on; lower it.")
    parts = share.denominator
    part = deal(images["group"], traits_of(images, boxes, parts), parts, settings.seed)
    # A group larger than a part makes its part too large: those nearest to their due size are taken.
    excess = np.abs(np.bincount(part, minlength=parts) - len(images) / parts)
    return np.isin(part, np.argsort(excess, kind="stable")[: share.numerator])


def _check_groups(train: pd.DataFrame, images: pd.DataFrame, folds: int) -> None:
    groups = train["group"].nunique()
    if groups < folds:
        status = images.loc[images["subset"] != "test", "status"].value_counts()
        counts = ", ".join(f"{number:,} {name}" for name, number in status.items()) or "none at all"
        raise DataError(
            f"{groups} groups of usable training images can't be dealt into {folds} folds; "
            f"training images by status: {counts}; issues.csv of the audit says why."
        )


def _check_objects(images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    train = images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "image_id"]
    if not boxes["image_id"].isin(train).any():
        raise DataError(
            f"None of the {len(train):,} usable training images has a labelled object, so there is nothing to learn "
            "to find; see issues.csv of the audit for labels that were left aside."
        )


def _check_more_than_one_class(labels: pd.Series) -> None:
    """One class alone is always right: there would be nothing to learn and nothing to measure."""
    if labels.nunique() == 1:
        raise DataError(
            f"All usable training images are of one class, '{labels.dropna().iloc[0]}', and classification needs two; "
            "see issues.csv of the audit for images and folders that were left aside."
        )


def _check_classes(train: pd.DataFrame, folds: int) -> None:
    """Without an image of each class in each fold, there would be nothing to measure the class on."""
    by_class = train.dropna(subset=["label"]).groupby("label")["group"].nunique()
    if len(by_class) and by_class.min() < folds:
        raise DataError(
            f"Class '{by_class.idxmin()}' has {by_class.min()} groups of training images for {folds} folds; "
            f"lower split.folds, or merge or drop the class with audit.class_map."
        )
