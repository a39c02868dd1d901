"""Say in words what a split holds, and which parts of it lack a class."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tropho.config.data_config import SplitConfig
from tropho.data.split.folds import stratification_targets

MAX_PARTS = 20  # a test share is a number of parts of 1 / MAX_PARTS or larger
ALIKE = {0.05: "are very similar", 0.2: "are similar"}  # by the largest relative difference from their mean
TOLERANCE = 0.1  # a test share that differs by more than this part of what was asked for is noted


def describe_split(splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame, settings: SplitConfig) -> list[str]:
    """Say what a split (tables.SPLITS) holds, and what training shares with test and validation images.

    Where published_val is "keep", fold 0 is the published validation set.
    """
    keeps_val = settings.published_val == "keep"
    table = splits.merge(images[["image_id", "subset"]], on="image_id", suffixes=("", "_published"))
    train, test = (table[table["subset"] == name] for name in ("train", "test"))
    is_val = (train["fold"] == 0) & keeps_val
    val, learned = train[is_val], train[~is_val]
    n_excluded = int((table["subset"] == "excluded").sum())
    notes = [_count_note(train, val, test)]
    if n_excluded:
        notes.append(_excluded_note(n_excluded, keeps_val, settings.test_overlap))
    if settings.test_fraction > 0 and not (images["subset"] == "test").any():
        share = len(test) / max(1, len(test) + len(learned) + n_excluded)
        notes += _test_fraction_notes(settings.test_fraction, share, keeps_val)
    test_name = "published test" if (test["subset_published"] == "test").any() else "test"
    for part, name in ((test, test_name), (val, "published validation")):
        shared = learned[learned["group"].isin(part["group"])]
        if len(shared):
            counts = _count(len(shared), "training image"), _count(shared["group"].nunique(), "group")
            notes.append(f"{counts[0]} share {counts[1]} with the {name} set, so its score is optimistic.")
    if not keeps_val:
        known = images.set_index("image_id").loc[train["image_id"]].reset_index()
        targets = stratification_targets(known, boxes, train["fold"].nunique())
        notes.append(_imbalance_note(targets.imbalance(train["fold"].to_numpy(np.int64))))
    return notes


def groups_by_class(train: pd.DataFrame, classes: Iterable[str]) -> pd.Series:
    """Count the groups of training images of each class, by class; 0 where there are none."""
    counts = train.dropna(subset=["label"]).groupby("label")["group"].nunique()
    return counts.reindex(list(classes), fill_value=0).astype(int)


def most_folds(train: pd.DataFrame, classes: Iterable[str]) -> int:
    """Count the folds that training images can be split into so that each has every class (none in detection)."""
    return int(min([train["group"].nunique(), *groups_by_class(train, classes).to_list()]))


def shortage(train: pd.DataFrame, classes: list[str], n_folds: int, images: pd.DataFrame) -> str:
    """Say why training images (columns label and group) can't be split into folds that all have these classes.

    `images` is tables.IMAGES, for what became of the others.
    """
    counts = groups_by_class(train, classes).sort_values(kind="stable")
    short = [f"'{name}' is in {_count(int(number), 'group')}" for name, number in counts[counts < n_folds].items()]
    status = images.loc[images["subset"] != "test", "status"].value_counts()
    by_status = ", ".join(f"{number:,} {name}" for name, number in status.items()) or "none at all"
    wanted = f" that all have every class ({', '.join(short)})" if short else ""
    return (
        f"{_count(train['group'].nunique(), 'group')} of usable training images can't be split into "
        f"{_count(n_folds, 'fold')}{wanted}; training images by status: {by_status}; issues.csv of the audit says why."
    )


def gaps(splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, list[str]]:
    """Find the parts of a split (tables.SPLITS) that lack a class.

    Returns:
        By class, sorted, the parts without an image of it: "fold 0" ..., "test"; a test set without labels has no gaps.
    """
    table = splits[splits["subset"] != "excluded"].set_index("image_id")
    part = table["subset"].where(table["subset"] != "train", "fold " + table["fold"].astype("string"))
    labelled = pd.concat([images[["image_id", "label"]], boxes[["image_id", "label"]]]).dropna()
    labelled = labelled.assign(part=labelled["image_id"].map(part.to_dict())).dropna(subset=["part"])
    parts = sorted({str(name) for name in part})
    if not (labelled["part"] == "test").any():
        parts = [name for name in parts if name != "test"]
    lacking = {
        str(label): [name for name in parts if name not in set(present)]
        for label, present in labelled.groupby("label")["part"].unique().items()
    }
    return {label: names for label, names in lacking.items() if names}


def _test_fraction_notes(asked: float, share: float, keeps_val: bool) -> list[str]:
    """Say where the test share is not what was asked for."""
    if abs(share - asked) <= TOLERANCE * asked:
        return []
    return [
        f"split.test_fraction asks for {asked:.1%} of the images, and {share:.1%} are held out for test: it takes "
        f"whole groups{' that the published validation set has none of' if keeps_val else ''}, in parts of "
        f"1/{MAX_PARTS} or larger."
    ]


def _count_note(train: pd.DataFrame, val: pd.DataFrame, test: pd.DataFrame) -> str:
    if len(val):
        return (
            f"{len(train) - len(val):,} training images (fold 1, never validated), {len(val):,} of the published "
            f"validation set (fold 0), {len(test):,} for test."
        )
    return (
        f"{len(train):,} training images in {train['fold'].nunique()} folds, {len(test):,} for test. "
        f"With train.n_folds: 1, the model is validated on fold 0 ({int((train['fold'] == 0).sum()):,} images)."
    )


def _excluded_note(n_excluded: int, keeps_val: bool, overlap: str) -> str:
    why = f"the test {'or the validation ' if keeps_val else ''}set has"
    what = (
        "images of their group (patient, slide or picture)" if overlap == "drop_groups" else "them, exactly or nearly"
    )
    return f"{n_excluded:,} training images are kept out, since {why} {what}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _imbalance_note(imbalance: pd.DataFrame) -> str:
    values = imbalance.to_numpy()
    fold, target = np.unravel_index(np.abs(values).argmax(), values.shape)
    value = values[fold, target]
    if not value:
        return "The folds do not differ in anything that is balanced."
    alike = next((word for most, word in ALIKE.items() if abs(value) <= most), "differ")
    return (
        f"The folds {alike}. Largest difference: fold {fold} has {100 * abs(value):.1f} % "
        f"{'more' if value > 0 else 'fewer'} {imbalance.columns[target]} than average."
    )
