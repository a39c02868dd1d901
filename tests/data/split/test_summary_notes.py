"""What is said of a split: how many images are for what, the hold-out's share, shared groups, the furthest fold."""

import pandas as pd
import pytest

from tropho.config.data_config import SplitConfig
from tropho.data.split.split_summary import summarise
from tropho.tables import BOXES, empty

Row = tuple[str, int, str, str]
"""Subset, fold, group, and subset as published."""


def told(rows: list[Row], labels: str | None = None, **chosen) -> dict:
    """The summary of images i0, i1, ... of equal size, labelled "a" unless `labels` has a letter for each."""
    options = {
        "published_val": "merge",
        "n_folds": 2,
        "test_fraction": 0.0,
        "grouped": True,
        "test_overlap": "keep",
        "seed": 0,
    }
    settings = SplitConfig(**{**options, **chosen})
    subset, fold, group, published = zip(*rows, strict=True)
    ids = [f"i{number}" for number in range(len(rows))]
    splits = pd.DataFrame({"image_id": ids, "subset": subset, "fold": fold, "group": group})
    images = pd.DataFrame({"image_id": ids, "label": list(labels or "a" * len(rows)), "subset": published})
    return summarise(splits, images.assign(width=9, height=9), empty(BOXES), settings)


def train(fold: int, group: str, published: str = "train") -> Row:
    return "train", fold, group, published


def held_out(group: str, published: str = "train") -> Row:
    return "test", -1, group, published


FOUR = [train(0, "g0"), train(0, "g1"), train(1, "g2"), train(1, "g3")]


def test_images_are_counted_by_what_they_are_for():
    summary = told([*FOUR, train(0, "g4"), held_out("g5"), ("excluded", -1, "g6", "train")])
    counted, excluded, _ = summary["notes"]
    assert counted == "5 training images in 2 folds, 1 for test; where train.n_folds is 1, the 3 of fold 0 alone judge."
    assert excluded == "1 training images are kept out, since the test set has them, exactly or nearly."
    assert {name: summary[name] for name in ("train", "test", "excluded", "groups")} == {
        "train": 5,
        "test": 1,
        "excluded": 1,
        "groups": 5,
    }
    assert summary["folds"] == [
        {"images": 3, "groups": 3, "classes": {"a": 3}},
        {"images": 2, "groups": 2, "classes": {"a": 2}},
    ]
    assert not summary["test_published"]
    assert not summary["validation_published"]


def test_a_published_validation_set_is_fold_0_and_the_rest_trains():
    rows = [train(0, "g0", "validation"), train(1, "g1"), train(1, "g2"), held_out("g3", "test")]
    summary = told(rows, published_val="keep")
    assert summary["notes"] == [
        "2 training images (fold 1, never validated), 1 of the published validation set (fold 0), 1 for test."
    ]
    assert summary["test_published"]
    assert summary["validation_published"]
    assert summary["imbalance"] == {}


def test_an_empty_validation_set_is_not_spoken_of():
    (note,) = told([train(1, "g1"), train(1, "g2"), held_out("g3", "test")], published_val="keep")["notes"]
    assert note == "2 training images in 1 folds, 1 for test; where train.n_folds is 1, the 0 of fold 0 alone judge."


@pytest.mark.parametrize(
    ("overlap", "published_val", "why"),
    [
        ("drop_duplicates", "merge", "the test set has them, exactly or nearly."),
        ("drop_groups", "merge", "the test set has images of their group (patient, slide or picture)."),
        ("drop_duplicates", "keep", "the test or the validation set has them, exactly or nearly."),
    ],
)
def test_why_images_are_kept_out(overlap, published_val, why):
    notes = told([*FOUR, ("excluded", -1, "g6", "train")], published_val=published_val, test_overlap=overlap)["notes"]
    assert notes[1] == f"1 training images are kept out, since {why}"


def holdout_note(asked: float, out: int, of: int, excluded: int = 0) -> list[str]:
    rows = [train(number % 2, f"g{number}") for number in range(of - out - excluded)]
    rows += [held_out(f"t{number}") for number in range(out)]
    rows += [("excluded", -1, f"x{number}", "train") for number in range(excluded)]
    return [note for note in told(rows, test_fraction=asked)["notes"] if note.startswith("split.test_fraction")]


def test_a_hold_out_is_told_where_it_differs_by_more_than_a_tenth_of_what_was_asked():
    """Of what is asked for, 0.5, a tenth is 0.05."""
    assert holdout_note(0.5, 9, 19) == []
    assert holdout_note(0.5, 10, 19) == []
    assert holdout_note(0.5, 12, 20) == [
        "split.test_fraction asks for 50.0% of the images, and 60.0% are held out for test: it takes whole groups, in "
        "parts of 1/20 or larger."
    ]
    assert len(holdout_note(0.5, 8, 20)) == 1
    assert holdout_note(0.25, 5, 20, excluded=5) == []  # those that are kept out are images too


def test_nothing_is_said_of_a_hold_out_that_nobody_asked_for_or_that_is_published():
    assert holdout_note(0.0, 0, 4) == []
    assert not any("holdout" in note for note in told([*FOUR, held_out("g5", "test")], test_fraction=0.9)["notes"])


WANT = (
    "Nothing is held out for test: split.test_fraction needs two groups of training images without an image in the "
    "published"
)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (0, f"{WANT} validation set, and there are 0."),
        (1, f"{WANT} validation set, and there are 1."),
        (
            2,
            "split.test_fraction asks for 20.0% of the images, and 0.0% are held out for test: it takes whole groups "
            "that the published validation set has none of, in parts of 1/20 or larger.",
        ),
    ],
)
def test_a_hold_out_beside_a_published_validation_set_takes_groups_that_this_has_none_of(free, said):
    rows = [train(0, "g0", "validation"), train(1, "g0"), *(train(1, f"free{number}") for number in range(free))]
    assert said in told(rows, published_val="keep", test_fraction=0.2)["notes"]


def test_a_hold_out_that_took_one_group_is_no_want_of_groups():
    rows = [train(0, "g0", "validation"), train(1, "g1"), held_out("g2"), held_out("g2")]
    assert not any(
        "Nothing is held out" in note for note in told(rows, published_val="keep", test_fraction=0.2)["notes"]
    )
    assert not any("Nothing is held out" in note for note in told(FOUR, test_fraction=0.2)["notes"])


def sharing(rows: list[Row], **chosen) -> list[str]:
    return [note for note in told(rows, **chosen)["notes"] if "share" in note]


def test_groups_that_training_shares_with_the_test_set_are_counted():
    assert sharing(FOUR) == []
    assert sharing([*FOUR, held_out("g3")]) == [
        "1 training image share 1 group with the test set, so its score flatters."
    ]  # it is in fold 1, which always trains
    assert sharing([*FOUR, held_out("g0", "test"), held_out("g3", "test")]) == [
        "2 training images share 2 groups with the published test set, so its score flatters (where train.n_folds is "
        "1, 1 of them train)."
    ]
    summary = told([*FOUR, train(1, "g3"), held_out("g3")])
    assert (summary["shared_groups"], summary["train_images_in_shared_groups"]) == (1, 2)
    assert summary["train_images_in_validation_groups"] == 0


def test_groups_that_training_shares_with_a_published_validation_set_are_counted():
    rows = [train(0, "g0", "validation"), train(1, "g0"), train(1, "g1"), held_out("g2", "test")]
    assert sharing(rows, published_val="keep") == [
        "1 training image share 1 group with the published validation set, so its score flatters."
    ]
    summary = told(rows, published_val="keep")
    assert (summary["shared_groups"], summary["train_images_in_validation_groups"]) == (0, 1)


@pytest.mark.parametrize(
    ("folds", "uneven", "said"),
    [
        ([0, 0, 1, 1], 0.0, "The folds have the same of every target."),
        ([0, 0, 0, 1], 0.5, "furthest from it is fold 0 with 50.0% more images."),
        ([0, 0, 1, 1, 2, 2, 3], 0.4286, "furthest from it is fold 3 with 42.9% fewer images."),
    ],
)
def test_the_fold_that_is_furthest_from_the_mean(folds, uneven, said):
    summary = told([train(fold, f"g{number}") for number, fold in enumerate(folds)])
    assert summary["notes"][-1].endswith(said)
    assert summary["imbalance"]["images"] == pytest.approx(uneven, abs=1e-9)
    if uneven:
        assert summary["notes"][-1].startswith(f"Folds are within {uneven:.1%} of their mean in every target; ")
