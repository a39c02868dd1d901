"""What a split holds, in counts and in words."""

from typing import Any

import numpy as np
import pandas as pd

from tropho.config.data_config import SplitConfig
from tropho.data.split.stratification import objects, stratification_targets

FINEST = 20  # a hold-out is a number of parts of at most so many
TOLD = 0.1  # a hold-out that differs by more than this part of what was asked for is told


def summarise(splits: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame, settings: SplitConfig) -> dict[str, Any]:
    """Counts by subset and fold, what training shares with test and validation images, and `notes` in words.

    Where the settings keep a published validation set, it is fold 0; such folds are as uneven as they were published.
    """
    validation = settings.published_val == "keep"
    table = splits.merge(images[["image_id", "label", "subset"]], on="image_id", suffixes=("", "_published"))
    train, test = (table[table["subset"] == name] for name in ("train", "test"))
    kept = (train["fold"] == 0) & validation
    held, learned = train[kept], train[~kept]  # no model is trained on the published validation set
    shared, known = (learned[learned["group"].isin(judged["group"])] for judged in (test, held))
    excluded = int((table["subset"] == "excluded").sum())
    published = bool((test["subset_published"] == "test").any())
    notes = _counted(train, held, test)
    if excluded:
        notes.append(_kept_out(excluded, validation, settings.test_overlap))
    if settings.test_fraction > 0 and not (images["subset"] == "test").any():
        free = learned.loc[~learned["group"].isin(held["group"]), "group"].nunique()
        share = len(test) / max(1, len(test) + len(learned) + excluded)
        notes += _test_fraction_notes(settings.test_fraction, share, free, validation)
    for sharing, name in ((shared, f"{'published ' if published else ''}test"), (known, "published validation")):
        if len(sharing):
            many, groups = _count(len(sharing), "training image"), _count(sharing["group"].nunique(), "group")
            notes.append(f"{many} share {groups} with the {name} set, so its score flatters{_outside(sharing)}.")
    uneven = pd.DataFrame() if validation else _unevenness(train, images, boxes)
    if not validation:
        notes.append(_furthest(uneven))
    return {
        "notes": notes,
        "train": len(train),
        "test": len(test),
        "excluded": excluded,
        "test_published": published,
        "validation_published": validation,
        "groups": int(train["group"].nunique()),
        "shared_groups": int(shared["group"].nunique()),
        "train_images_in_shared_groups": len(shared),
        "train_images_in_validation_groups": len(known),
        "folds": [_content(part, boxes) for _, part in train.groupby("fold")],
        "test_content": _content(test, boxes),
        "unevenness": {str(trait): round(float(value), 4) for trait, value in uneven.abs().max().items()},
    }


def _test_fraction_notes(asked: float, share: float, free: int, validation: bool) -> list[str]:
    """Say where the hold-out is not what was asked for.

    Args:
        asked: share of the images asked for.
        share: share held out.
        free: groups of training images without an image in the published validation set.
        validation: whether a published validation set is kept.
    """
    if validation and share == 0 and free < 2:
        return [
            "Nothing is held out for test: split.test_fraction needs two groups of training images without an image in "
            f"the published validation set, and there are {free}."
        ]
    if abs(share - asked) <= TOLD * asked:
        return []
    return [
        f"split.test_fraction asks for {asked:.1%} of the images, and {share:.1%} are held out for test: it takes "
        f"whole groups{' that the published validation set has none of' if validation else ''}, in parts of "
        f"1/{FINEST} or larger."
    ]


def _counted(train: pd.DataFrame, held: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    """How many images are for what; `held` are those of the published validation set, if it is kept."""
    if len(held):
        told = (
            f"{len(train) - len(held):,} training images (fold 1, never validated), {len(held):,} of the published "
            f"validation set (fold 0), {len(test):,} for test."
        )
    else:
        told = (
            f"{len(train):,} training images in {train['fold'].nunique()} folds, {len(test):,} for test; where "
            f"train.n_folds is 1, the {int((train['fold'] == 0).sum()):,} of fold 0 alone judge."
        )
    return [told]


def _kept_out(excluded: int, validation: bool, overlap: str) -> str:
    """How many training images are kept out, and why."""
    judged = "test or the validation set has" if validation else "test set has"
    why = f"{judged} them, exactly or nearly"
    if overlap == "drop_groups":
        why = f"{judged} images of their group (patient, slide or picture)"
    return f"{excluded:,} training images are kept out, since the {why}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _outside(sharing: pd.DataFrame) -> str:
    """How many of these training images one model alone is trained on, if that is not all."""
    outside = int((sharing["fold"] != 0).sum())
    return "" if outside == len(sharing) else f" (where train.n_folds is 1, {outside:,} of them train)"


def _unevenness(train: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Deviation from the mean over folds by fold and trait."""
    known = images.set_index("image_id").loc[train["image_id"]].reset_index()
    return stratification_targets(known, boxes, train["fold"].nunique()).unevenness(train["fold"].to_numpy(np.int64))


def _furthest(uneven: pd.DataFrame) -> str:
    """The largest deviation in words."""
    values = uneven.to_numpy()
    fold, trait = np.unravel_index(np.abs(values).argmax(), values.shape)
    value = values[fold, trait]
    if not value:
        return "The folds have the same of every trait."
    return (
        f"Folds are within {abs(value):.1%} of their mean in every trait; furthest from it is fold {fold} with "
        f"{abs(value):.1%} {'more' if value > 0 else 'fewer'} {uneven.columns[trait]}."
    )


def _content(part: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, Any]:
    """Images, groups and, by class, images (or boxes) of a part."""
    inside = objects(boxes)
    inside = inside[inside["image_id"].isin(part["image_id"])]
    counts = part["label"].value_counts() if part["label"].notna().any() else inside["label"].value_counts()
    classes = {str(name): int(number) for name, number in counts.sort_index().items()}
    return {"images": len(part), "groups": int(part["group"].nunique()), "classes": classes}
