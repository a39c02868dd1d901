"""Stage 3, split: stratified folds that keep groups together, and a test set that shares no picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from tropho import tables
from tropho.config.data_config import SplitConfig
from tropho.config.task_config import TaskConfig
from tropho.data.split.folds import assign_folds, stratification_targets
from tropho.data.split.split_summary import (
    MAX_PARTS,
    gap_notes,
    gaps,
    groups_by_class,
    most_folds,
    shortage,
    summarise,
)
from tropho.errors import DataError, UsageError
from tropho.files import write_json
from tropho.log import info
from tropho.paths import Paths


def run(settings: TaskConfig, root: Path) -> pd.DataFrame:
    """Split what audit found usable; write root/data/splits/TASK.csv and, with its counts, TASK.json."""
    paths = Paths(root, settings.name)
    images = tables.read_table(paths.audit / "images.csv", tables.IMAGES)
    boxes, _ = tables.split_regions(tables.read_table(paths.audit / "boxes.csv", tables.BOXES))
    if settings.kind == "detection":
        _check_objects(images, boxes)
    splits = split(settings.split, images, boxes)
    summary = summarise(splits, images, boxes, settings.split)
    summary["notes"] += _gap_notes(settings.split, splits, images, boxes)
    tables.write_table(splits, paths.splits, tables.SPLITS)
    write_json(paths.splits.with_suffix(".json"), summary)
    for note in summary["notes"]:
        info(note)
    return splits


@dataclass(frozen=True)
class _Sides:
    """What is for training, validation and test before folds are dealt.

    Attributes:
        images: (N,) usable images, sorted by id, their groups as the settings want them.
        subset: (N,) "train", "validation" (a published one that is kept), "test" or "excluded".
        classes: of the training and validation images, whatever was then held out or excluded; empty in detection.
        folds: how many are to be dealt.
    """

    images: pd.DataFrame
    subset: np.ndarray
    classes: list[str]
    folds: int

    @property
    def train(self) -> pd.DataFrame:
        return self.images[self.subset == "train"]

    @property
    def most_folds(self) -> int:
        return most_folds(self.train, self.classes)


def split(settings: SplitConfig, images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
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
        DataError: no training image is usable, all are of one class, or a class has fewer groups than there are folds;
            the sentence names settings that work.
    """
    published = settings.published_val == "keep"
    if published and not (images["subset"] == "validation").any():
        raise UsageError(
            "split.published_val is 'keep', but the data set publishes no validation images; set it to merged."
        )
    sides = _sides(settings, images, boxes)
    if sides.most_folds < sides.folds:
        told = shortage(sides.train, sides.classes, sides.folds, images)
        raise DataError(f"{told} {_remedy(settings, sides, images, boxes)}")
    if len(sides.classes) == 1:
        raise DataError(
            f"All usable training images are of class '{sides.classes[0]}', and a classifier needs two classes; add "
            "images of another, or see whether audit.class_map, audit.classes or issues.csv of the audit took it away."
        )
    subset, train = sides.subset.copy(), sides.train
    fold = np.full(len(subset), -1)
    if published:
        fold[subset == "train"], fold[_taken_in(subset)] = 1, 0
    else:
        fold[subset == "train"] = assign_folds(
            train["group"], stratification_targets(train, boxes, sides.folds), sides.folds, settings.seed
        )
    table = sides.images[["image_id"]].assign(subset=subset, fold=fold).set_index("image_id")
    usable = tables.usable_images(images)
    splits = table.loc[usable["image_id"]].reset_index()
    splits["group"] = usable["group"].to_numpy()
    return tables.conform(splits, tables.SPLITS, "splits")


def _sides(settings: SplitConfig, images: pd.DataFrame, boxes: pd.DataFrame) -> _Sides:
    """Tell training, validation and test images apart, and exclude what training shares with the others."""
    published = settings.published_val == "keep"
    ordered = tables.usable_images(images).sort_values("image_id").reset_index(drop=True)
    groups = ordered["group"]
    if not settings.grouped:
        ordered = ordered.assign(group=ordered["image_id"])
    subset = ordered["subset"].to_numpy(dtype=object, copy=True)
    if not published:
        subset[subset == "validation"] = "train"
    classes = sorted(ordered.loc[subset != "test", "label"].dropna().unique())
    if not (images["subset"] == "test").any():
        _hold_out(settings, subset, ordered, boxes)
    if settings.test_overlap != "keep":
        _exclude_shared(subset, groups if settings.test_overlap == "drop_groups" else ordered["duplicate"])
    return _Sides(ordered, subset, classes, 1 if published else settings.n_folds)


def _remedy(settings: SplitConfig, sides: _Sides, images: pd.DataFrame, boxes: pd.DataFrame) -> str:
    """Name the first change of settings, of those tried, with which the images can be dealt."""
    for words, changes, kept in _changes(settings, sides, images):
        tried = _sides(settings.model_copy(update=changes), kept, boxes)
        most, least = tried.most_folds, min(2, tried.folds)
        if most < least or len(tried.classes) == 1:
            continue
        steps = [*words, *([f"set split.n_folds to {most}"] if most < tried.folds else [])]
        if steps:
            return f"To go on, {' and '.join(steps)}."
    return "Add images of what is missing."


def _changes(
    settings: SplitConfig, sides: _Sides, images: pd.DataFrame
) -> Iterator[tuple[list[str], dict[str, object], pd.DataFrame]]:
    """Yield what may be changed: in words, as settings, and the images then; what costs least comes first.

    A setting that has this value already is no remedy either, since with it nothing changes.
    """
    yield [], {}, images
    yield ["set split.published_val to merge"], {"published_val": "merge"}, images
    yield ["set split.test_fraction to 0"], {"test_fraction": 0.0}, images
    counts = groups_by_class(sides.images[np.isin(sides.subset.astype(str), ["train", "validation"])], sides.classes)
    rare = counts[counts < min(2, sides.folds)].index
    if len(rare):
        dropped = ", ".join(f"{name}: null" for name in rare)
        kept = images.assign(status=images["status"].where(~images["label"].isin(rare), "unlabelled"))
        yield [f"merge or drop what is rare with audit.class_map, such as {{{dropped}}}"], {}, kept
    yield ["set split.test_overlap to keep"], {"test_overlap": "keep"}, images
    words = "let audit.group_pattern tell more groups apart (or set split.grouped to false, which flatters the score)"
    yield [words], {"grouped": False}, images


def _gap_notes(settings: SplitConfig, splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame) -> list[str]:
    """Say which parts lack which classes, with a number of folds that lack none, if one is found."""
    missing = gaps(splits, images, boxes)
    published, remedy = settings.published_val == "keep", ""
    rare = [name for name, parts in missing.items() if any(part != "test" for part in parts)]
    if rare and not published:
        remedy = f"Merge or drop what is rare with audit.class_map, such as {{{rare[0]}: null}}."
        for folds in reversed(range(2, settings.n_folds)):
            tried = gaps(split(settings.model_copy(update={"n_folds": folds}), images, boxes), images, boxes)
            if all(part == "test" for parts in tried.values() for part in parts):
                remedy = f"Set split.n_folds to {folds}, or merge or drop what is rare with audit.class_map."
                break
    test = images[images["subset"] == "test"]
    notes = gap_notes(missing, published, len(test) > 0, remedy)
    if len(test) and test["label"].isna().all() and not boxes["image_id"].isin(test["image_id"]).any():
        notes.append("The published test set has no labels: it is predicted, and scores are those out of fold.")
    return notes


def _hold_out(settings: SplitConfig, subset: np.ndarray, images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Change some of the training images to "test", none of a group that the published validation set has.

    With fewer than two such groups none is changed: a single one can't be divided, and may be all that trains.
    """
    groups = images["group"]
    free = np.flatnonzero((subset == "train") & ~groups.isin(groups[subset == "validation"]).to_numpy())
    if groups.iloc[free].nunique() < 2:
        return
    held = _held_out(settings, images.iloc[free].reset_index(drop=True), boxes)
    subset[free[held]] = "test"


def _exclude_shared(subset: np.ndarray, key: pd.Series) -> None:
    """Change to "excluded" what has the key of a test image, and training images with that of a validation image."""
    for judged, others in (("test", ("train", "validation")), ("validation", ("train",))):
        known = set(key[subset == judged].dropna())
        subset[np.isin(subset.astype(str), others) & key.isin(known).to_numpy()] = "excluded"


def _taken_in(subset: np.ndarray) -> np.ndarray:
    """Change "validation" to "train"; whether each image was that, (N,) bool."""
    validation = subset == "validation"
    if not validation.any():
        raise DataError(
            "No image of the published validation set can be used (issues.csv of the audit says why, or the test set "
            "has them all); set split.published_val to merge."
        )
    subset[validation] = "train"
    return validation


def _held_out(settings: SplitConfig, images: pd.DataFrame, boxes: pd.DataFrame) -> np.ndarray:
    """Whether each image is set aside for test, (N,) bool: whole groups, as near the share as parts allow."""
    share = Fraction(settings.test_fraction).limit_denominator(max(2, min(MAX_PARTS, images["group"].nunique())))
    if not share:
        return np.zeros(len(images), dtype=bool)
    if share == 1:
        raise DataError(f"split.test_fraction {settings.test_fraction:g} leaves no image to train on; lower it.")
    parts = share.denominator
    part = assign_folds(images["group"], stratification_targets(images, boxes, parts), parts, settings.seed)
    # A group larger than a part makes its part too large: those nearest to their due size are taken.
    excess = np.abs(np.bincount(part, minlength=parts) - len(images) / parts)
    return np.isin(part, np.argsort(excess, kind="stable")[: share.numerator])


def _check_objects(images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    train = images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "image_id"]
    if len(train) and not boxes["image_id"].isin(train).any():
        raise DataError(
            f"None of the {len(train):,} usable training images has a labelled object, so there is nothing to learn "
            "to find; see issues.csv of the audit for labels that were left aside."
        )
