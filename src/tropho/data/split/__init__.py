"""Split images into folds, a test set and excluded images. Boxes are those of objects, without ignored regions."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from tropho import tables
from tropho.config.data_config import SplitConfig
from tropho.data.split.folds import assign_folds, stratification_targets
from tropho.data.split.split_summary import MAX_PARTS, gaps, groups_by_class, most_folds, shortage
from tropho.errors import DataError, UsageError


@dataclass(frozen=True)
class _Subsets:
    """Subset of each image before folds are assigned."""

    images: pd.DataFrame  # (N,) usable images, sorted by id, their groups as the settings want them
    subset: np.ndarray  # (N,) "train", "validation" (a published one that is kept), "test" or "excluded"
    classes: list[str]  # of the training and validation images before any is held out or excluded; empty in detection
    n_folds: int  # number of folds to assign

    @property
    def train(self) -> pd.DataFrame:
        images: pd.DataFrame = self.images[self.subset == "train"]
        return images

    @property
    def max_folds(self) -> int:
        return most_folds(self.train, self.classes)


def split(settings: SplitConfig, images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Assign usable images to folds and, where no test set is published, to a held-out one: tables.SPLITS.

    Folds never split a group and are stratified by `stratification_targets`. Row order doesn't matter. A published
    validation set is merged into the training images or, if kept, is fold 0, and all training images are fold 1.

    Raises:
        UsageError: the settings ask for a published validation set, and there is none.
        DataError: no training image is usable, all are of one class, or a class has fewer groups than there are folds;
            the sentence names settings that work.
    """
    published = settings.published_val == "keep"
    if published and not (images["subset"] == "validation").any():
        raise UsageError(
            "split.published_val is 'keep', but the data set publishes no validation images; set it to merge."
        )
    parts = _subsets(settings, images, boxes)
    if parts.max_folds < parts.n_folds:
        fault = shortage(parts.train, parts.classes, parts.n_folds, images)
        raise DataError(f"{fault} {_remedy(settings, parts, bool((images['subset'] == 'test').any()))}")
    if len(parts.classes) == 1:
        raise DataError(
            f"All usable training images are of class '{parts.classes[0]}', and a classifier needs two classes; add "
            "images of another, or see whether audit.class_map, audit.classes or issues.csv of the audit took it away."
        )
    subset, train = parts.subset.copy(), parts.train
    fold = np.full(len(subset), -1)
    if published:
        fold[subset == "train"], fold[_merge_validation(subset)] = 1, 0
    else:
        targets = stratification_targets(train, boxes, parts.n_folds)
        fold[subset == "train"] = assign_folds(train["group"], targets, parts.n_folds, settings.seed)
    table = parts.images[["image_id"]].assign(subset=subset, fold=fold).set_index("image_id")
    usable = tables.usable_images(images)
    splits = table.loc[usable["image_id"]].reset_index()
    splits["group"] = usable["group"].to_numpy()
    return tables.conform(splits, tables.SPLITS, "splits")


def _subsets(settings: SplitConfig, images: pd.DataFrame, boxes: pd.DataFrame) -> _Subsets:
    """Choose training, validation and test images, and exclude what training shares with the others."""
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
        _hold_out_test(settings, subset, ordered, boxes)
    if settings.test_overlap != "keep":
        _exclude_shared(subset, groups if settings.test_overlap == "drop_groups" else ordered["duplicate"])
    return _Subsets(ordered, subset, classes, 1 if published else settings.n_folds)


def _remedy(settings: SplitConfig, parts: _Subsets, has_test: bool) -> str:
    """Name what may give the training images enough groups of each class."""
    if settings.published_val == "keep":
        return "To go on, set split.published_val to merge."
    if parts.max_folds >= 2:
        return f"To go on, set split.n_folds to {parts.max_folds}."
    counts = groups_by_class(parts.train, parts.classes)
    dropped = ", ".join(f"{name}: null" for name in counts[counts < 2].index) if (counts >= 2).sum() >= 2 else ""
    ways = {
        f"merge or drop what is rare with audit.class_map, such as {{{dropped}}}": dropped,
        "set split.test_fraction to 0": settings.test_fraction > 0 and not has_test,
        "set split.test_overlap to keep": (parts.subset == "excluded").any(),
        "let audit.group_pattern find more groups (or set split.grouped to false, which makes the score optimistic)": (
            settings.grouped
        ),
    }
    return f"To go on, {', or '.join(['add images of what is missing', *(way for way in ways if ways[way])])}."


def missing_class_notes(
    settings: SplitConfig, splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame
) -> list[str]:
    """Say which folds or test sets lack which classes, and name a number of folds that lack none, if there is one."""
    published, test = settings.published_val == "keep", images[images["subset"] == "test"]
    left_out = {"fold 1"} if published else set()  # beside a published validation set, that trains
    missing = {
        name: [part for part in parts if part not in left_out] for name, parts in gaps(splits, images, boxes).items()
    }
    where = "; ".join(f"'{name}' is not in {', '.join(parts)}" for name, parts in missing.items() if parts)
    rare = [name for name, parts in missing.items() if set(parts) - {"test"}]
    remedies = ["Set split.published_val to merge."] if rare and published else []
    if rare and not published:
        remedies.append(f"Merge or drop what is rare with audit.class_map, such as {{{rare[0]}: null}}.")
        for n_folds in reversed(range(2, settings.n_folds)):
            trial = gaps(split(settings.model_copy(update={"n_folds": n_folds}), images, boxes), images, boxes)
            if all(part == "test" for parts in trial.values() for part in parts):
                remedies.append(f"Or set split.n_folds to {n_folds}.")
                break
    if not len(test) and any("test" in parts for parts in missing.values()):
        remedies.append("For the test set, raise split.test_fraction, or set it to 0.")
    notes = [f"Some parts can't score every class: {where}. {' '.join(remedies)}".rstrip()] if where else []
    if len(test) and test["label"].isna().all() and not boxes["image_id"].isin(test["image_id"]).any():
        notes.append("The published test set has no labels: it is predicted, and scores are those out of fold.")
    return notes


def _hold_out_test(settings: SplitConfig, subset: np.ndarray, images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Change whole groups of training images to "test" in place, as near `split.test_fraction` as they allow.

    Groups of the published validation set stay. A single other one can't be divided, and may be all that trains.
    """
    groups = images["group"]
    free = np.flatnonzero((subset == "train") & ~groups.isin(groups[subset == "validation"]).to_numpy())
    n_groups = groups.iloc[free].nunique()
    share = Fraction(settings.test_fraction).limit_denominator(max(2, min(MAX_PARTS, n_groups)))
    if n_groups < 2 or not share:
        return
    if share == 1:
        raise DataError(f"split.test_fraction {settings.test_fraction:g} leaves no image to train on; lower it.")
    own, n_parts = images.iloc[free].reset_index(drop=True), share.denominator
    part = assign_folds(own["group"], stratification_targets(own, boxes, n_parts), n_parts, settings.seed)
    # A group larger than a part makes its part too large: those nearest to their due size are taken.
    excess = np.abs(np.bincount(part, minlength=n_parts) - len(own) / n_parts)
    subset[free[np.isin(part, np.argsort(excess, kind="stable")[: share.numerator])]] = "test"


def _exclude_shared(subset: np.ndarray, key: pd.Series) -> None:
    """Change to "excluded" what has the key of a test image, and training images with that of a validation image."""
    for scored, others in (("test", ("train", "validation")), ("validation", ("train",))):
        known = set(key[subset == scored].dropna())
        subset[np.isin(subset.astype(str), others) & key.isin(known).to_numpy()] = "excluded"


def _merge_validation(subset: np.ndarray) -> np.ndarray:
    """Change "validation" to "train" in place; return the mask of these images, (N,) bool."""
    validation: np.ndarray = subset == "validation"
    if not validation.any():
        raise DataError(
            "No image of the published validation set can be used (issues.csv of the audit says why, or the test set "
            "has them all); set split.published_val to merge."
        )
    subset[validation] = "train"
    return validation


def check_objects(images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Raise DataError if no training image has a box."""
    train = images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "image_id"]
    if len(train) and not boxes["image_id"].isin(train).any():
        raise DataError(
            f"None of the {len(train):,} usable training images has a labelled object, so there is nothing to learn "
            "to find; see issues.csv of the audit for labels that were left aside."
        )
