"""Notes on a split, and which parts of it lack a class."""

import pandas as pd
import pytest

from tropho.config.data_config import SplitConfig
from tropho.data.split.split_summary import describe_split, gaps, groups_by_class, most_folds, shortage
from tropho.tables import BOXES, empty

Row = tuple[str, int, str, str]


"""Subset, fold, group, and subset as published."""


def notes_of(rows: list[Row], labels: str | None = None, **overrides) -> list[str]:
    """The notes on images i0, i1, ... of equal size, labelled "a" unless `labels` has a letter for each."""
    options = {
        "published_val": "merge",
        "n_folds": 2,
        "test_fraction": 0.0,
        "grouped": True,
        "test_overlap": "keep",
        "seed": 0,
    }
    settings = SplitConfig(**{**options, **overrides})
    subset, fold, group, published = zip(*rows, strict=True)
    ids = [f"i{number}" for number in range(len(rows))]
    splits = pd.DataFrame({"image_id": ids, "subset": subset, "fold": fold, "group": group})
    images = pd.DataFrame({"image_id": ids, "label": list(labels or "a" * len(rows)), "subset": published})
    return describe_split(splits, images.assign(width=9, height=9), empty(BOXES), settings)


def train(fold: int, group: str, published: str = "train") -> Row:
    return "train", fold, group, published


def held_out(group: str, published: str = "train") -> Row:
    return "test", -1, group, published


FOUR = [train(0, "g0"), train(0, "g1"), train(1, "g2"), train(1, "g3")]


def test_describe_split_counts_by_subset():
    counted, excluded, _ = notes_of([*FOUR, train(0, "g4"), held_out("g5"), ("excluded", -1, "g6", "train")])
    assert counted.startswith("5 training images in 2 folds, 1 for test. With train.n_folds: 1, ")
    assert counted.endswith("the model is validated on fold 0 (3 images).")
    assert excluded == "1 training images are kept out, since the test set has them, exactly or nearly."


def test_describe_split_published_validation():
    rows = [train(0, "g0", "validation"), train(1, "g1"), train(1, "g2"), held_out("g3", "test")]
    assert notes_of(rows, published_val="keep") == [
        "2 training images (fold 1, never validated), 1 of the published validation set (fold 0), 1 for test."
    ]


def test_describe_split_empty_validation():
    (note,) = notes_of([train(1, "g1"), train(1, "g2"), held_out("g3", "test")], published_val="keep")
    assert note.startswith("2 training images in 1 folds, 1 for test. With train.n_folds: 1, ")
    assert note.endswith("the model is validated on fold 0 (0 images).")


@pytest.mark.parametrize(
    ("overlap", "published_val", "why"),
    [
        ("drop_duplicates", "merge", "the test set has them, exactly or nearly."),
        ("drop_groups", "merge", "the test set has images of their group (patient, slide or picture)."),
        ("drop_duplicates", "keep", "the test or the validation set has them, exactly or nearly."),
    ],
)
def test_describe_split_says_why_images_are_excluded(overlap, published_val, why):
    notes = notes_of([*FOUR, ("excluded", -1, "g6", "train")], published_val=published_val, test_overlap=overlap)
    assert notes[1] == f"1 training images are kept out, since {why}"


def holdout_note(asked: float, out: int, of: int, excluded: int = 0) -> list[str]:
    rows = [train(number % 2, f"g{number}") for number in range(of - out - excluded)]
    rows += [held_out(f"t{number}") for number in range(out)]
    rows += [("excluded", -1, f"x{number}", "train") for number in range(excluded)]
    return [note for note in notes_of(rows, test_fraction=asked) if note.startswith("split.test_fraction")]


def test_describe_split_notes_test_shares_off_by_a_tenth():
    """Of what is asked for, 0.5, a tenth is 0.05."""
    assert holdout_note(0.5, 9, 19) == []
    assert holdout_note(0.5, 10, 19) == []
    assert holdout_note(0.5, 12, 20) == [
        "split.test_fraction asks for 50.0% of the images, and 60.0% are held out for test: it takes whole groups, in "
        "parts of 1/20 or larger."
    ]
    assert len(holdout_note(0.5, 8, 20)) == 1
    assert holdout_note(0.25, 5, 20, excluded=5) == []  # those that are kept out are images too


def test_describe_split_is_silent_on_test_shares_not_asked_for():
    assert holdout_note(0.0, 0, 4) == []
    assert not any("holdout" in note for note in notes_of([*FOUR, held_out("g5", "test")], test_fraction=0.9))


@pytest.mark.parametrize("free", [0, 1, 2])
def test_describe_split_test_share_beside_published_validation(free):
    note = (
        "split.test_fraction asks for 20.0% of the images, and 0.0% are held out for test: it takes whole groups "
        "that the published validation set has none of, in parts of 1/20 or larger."
    )
    rows = [train(0, "g0", "validation"), train(1, "g0"), *(train(1, f"free{number}") for number in range(free))]
    assert note in notes_of(rows, published_val="keep", test_fraction=0.2)


def sharing(rows: list[Row], **overrides) -> list[str]:
    return [note for note in notes_of(rows, **overrides) if "share" in note]


def test_describe_split_groups_shared_with_test():
    assert sharing(FOUR) == []
    assert sharing([*FOUR, held_out("g3")]) == [
        "1 training image share 1 group with the test set, so its score is optimistic."
    ]  # it is in fold 1, which always trains
    assert sharing([*FOUR, held_out("g0", "test"), held_out("g3", "test")]) == [
        "2 training images share 2 groups with the published test set, so its score is optimistic."
    ]


def test_describe_split_groups_shared_with_validation():
    rows = [train(0, "g0", "validation"), train(1, "g0"), train(1, "g1"), held_out("g2", "test")]
    assert sharing(rows, published_val="keep") == [
        "1 training image share 1 group with the published validation set, so its score is optimistic."
    ]


@pytest.mark.parametrize(
    ("folds", "note"),
    [
        ([0, 0, 1, 1], "The folds do not differ in anything that is balanced."),
        ([0, 0, 0, 1], "fold 0 has 50.0 % more images than average."),
        ([0, 0, 1, 1, 2, 2, 3], "fold 3 has 42.9 % fewer images than average."),
    ],
)
def test_describe_split_names_the_most_imbalanced_fold(folds, note):
    told = notes_of([train(fold, f"g{number}") for number, fold in enumerate(folds)])[-1]
    assert told.endswith(note)
    assert told.startswith("The folds differ. Largest difference: ") == ("%" in note)


def images_of(labels: str, groups: str | None = None) -> pd.DataFrame:
    """Training images, one a letter; "-" is none."""
    rows = {
        "label": [None if each == "-" else each for each in labels],
        "group": list(groups or "0123456789"[: len(labels)]),
    }
    ids = [f"i{number}" for number in range(len(labels))]
    return pd.DataFrame({"image_id": ids, "subset": "train", "status": "ok", **rows})


def test_groups_by_class():
    train = images_of("aaab-", "00123")
    assert groups_by_class(train, "abc").to_dict() == {"a": 2, "b": 1, "c": 0}
    assert most_folds(train, "ab") == 1
    assert most_folds(train, "a") == 2
    assert most_folds(train, "") == 4


def shortage_of(labels: str, classes: str, folds: int, groups: str | None = None) -> str:
    train = images_of(labels, groups)
    return shortage(train, list(classes), folds, train)


def test_shortage_names_classes_groups_and_status():
    told = shortage_of("aaabbc", "abc", 3)  # a has just enough
    assert "into 3 folds that all have every class ('c' is in 1 group, 'b' is in 2 groups); training images" in told
    assert "into 1 fold that all have every class ('c' is in 0 groups)" in shortage_of("aab", "abc", 1)
    train = images_of("aab", "001")
    images = pd.concat([train, train.assign(status="too_small"), train.assign(subset="test", status="gone")])
    assert shortage(train, [], 3, images) == (
        "2 groups of usable training images can't be split into 3 folds; training images by status: 3 ok, 3 too_small; "
        "issues.csv of the audit says why."
    )
    assert "by status: none at all;" in shortage(train, ["a"], 3, images.iloc[:0])


def split_of(*rows: tuple[str, int]) -> pd.DataFrame:
    ids = [f"i{number}" for number in range(len(rows))]
    return pd.DataFrame({"image_id": ids, "subset": [row[0] for row in rows], "fold": [row[1] for row in rows]})


PARTS = [("train", 0), ("train", 1), ("test", -1), ("excluded", -1)]


def test_gaps_by_class():
    splits = split_of(*PARTS, ("train", 1))
    missing = gaps(splits, images_of("aabcb"), empty(BOXES))
    assert missing == {"a": ["test"], "b": ["fold 0"]}  # c is in no part


def test_gaps_skip_an_unlabelled_test_set():
    assert gaps(split_of(*PARTS[:3]), images_of("ab-"), empty(BOXES)) == {"a": ["fold 1"], "b": ["fold 0"]}
