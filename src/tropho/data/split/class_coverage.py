"""Classes that a split can't do justice to: too few groups for the folds, or none in a part."""

from collections.abc import Iterable

import pandas as pd

from tropho.data.split.stratification import objects


def groups_by_class(train: pd.DataFrame, classes: Iterable[str]) -> pd.Series:
    """Count the groups of training images of each class, 0 where there are none; by class."""
    counts = train.dropna(subset=["label"]).groupby("label")["group"].nunique()
    return counts.reindex(list(classes), fill_value=0).astype(int)


def most_folds(train: pd.DataFrame, classes: Iterable[str]) -> int:
    """Count the folds into which training images can be dealt so that each has every class.

    Args:
        train: columns label and group; labels are empty in detection, where classes don't count.
        classes: that every fold must have.
    """
    counts = groups_by_class(train, classes)
    return int(min([train["group"].nunique(), *counts.to_list()]))


def shortage(train: pd.DataFrame, classes: list[str], folds: int, images: pd.DataFrame) -> str:
    """Say in a sentence why training images can't be dealt into folds.

    Args:
        train: columns label and group of the images to deal.
        classes: that every fold must have.
        folds: how many.
        images: tables.IMAGES, for what became of the others.
    """
    counts = groups_by_class(train, classes)
    short = counts[counts < folds].sort_values(kind="stable")
    if train["group"].nunique() < folds or short.empty:
        status = images.loc[images["subset"] != "test", "status"].value_counts()
        told = ", ".join(f"{number:,} {name}" for name, number in status.items()) or "none at all"
        return (
            f"{train['group'].nunique():,} groups of usable training images can't be dealt into {folds} folds; "
            f"training images by status: {told}; issues.csv of the audit says why."
        )
    if folds == 1:
        names = ", ".join(f"'{name}'" for name in short.index)
        return f"No training image is of class {names}, which the published validation set has."
    first = f"Class '{short.index[0]}' has {_number(int(short.iloc[0]), 'group')} of training images for {folds} folds"
    rest = ", ".join(f"'{name}' {number}" for name, number in short.iloc[1:].items())
    return f"{first}; too few have also {rest}." if rest else f"{first}."


def gaps(splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, list[str]]:
    """Find the parts of a split that lack a class.

    Args:
        splits: tables.SPLITS.
        images: tables.IMAGES.
        boxes: tables.BOXES.

    Returns:
        by class, sorted, the parts without an image of it: "fold 0" ..., "test"; a test set without labels has no gaps.
    """
    table = splits.set_index("image_id")
    part = table["subset"].where(table["subset"] != "train", "fold " + table["fold"].astype("string"))
    labelled = pd.concat([images[["image_id", "label"]], objects(boxes)[["image_id", "label"]]]).dropna()
    labelled = labelled.assign(part=labelled["image_id"].map(part.to_dict())).dropna(subset=["part"])
    labelled = labelled[labelled["part"] != "excluded"]
    parts = sorted({str(name) for name in part} - {"excluded"})
    if not (labelled["part"] == "test").any():
        parts = [name for name in parts if name != "test"]
    held = labelled.groupby("label")["part"].unique()
    return {
        str(name): missing
        for name, has in held.items()
        if (missing := [each for each in parts if each not in set(has)])
    }


def gap_notes(missing: dict[str, list[str]], published: bool, test_published: bool, remedy: str) -> list[str]:
    """Say which parts lack which classes, and what to do.

    Args:
        missing: result of `gaps`.
        published: whether fold 0 is the published validation set.
        test_published: whether the test set is published.
        remedy: what to do about folds that lack a class, a sentence; where the validation set is not published.
    """
    notes = []
    folds = {name: [each for each in parts if each != "test"] for name, parts in missing.items()}
    folds = {name: parts for name, parts in folds.items() if parts}
    if folds and published:
        names = ", ".join(f"'{name}'" for name, parts in folds.items() if "fold 0" in parts)
        if names:
            notes.append(
                f"The published validation set has no image of {names}, so no score of it says anything about that; "
                "set split.published_val to merge."
            )
    elif folds:
        told = "; ".join(f"'{name}' is not in {', '.join(parts)}" for name, parts in folds.items())
        notes.append(f"Some folds can't score every class: {told}. {remedy}")
    tested = ", ".join(f"'{name}'" for name, parts in missing.items() if "test" in parts)
    if tested:
        notes.append(
            f"The {'published test set' if test_published else 'hold-out'} has no image of {tested}, so the test says "
            "nothing about that; "
            + (
                "the score out of fold does."
                if test_published
                else "raise split.test_fraction, or set it to 0 and go by the score out of fold."
            )
        )
    return notes


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
