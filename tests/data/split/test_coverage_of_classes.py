"""Classes that a split can't do justice to: how many folds there can be, which parts lack which class, what is said."""

import pandas as pd
import pytest

from tropho.data.split.split_summary import gap_notes, gaps, groups_by_class, most_folds, shortage
from tropho.tables import BOXES, conform, empty


def images_of(labels: str, groups: str | None = None) -> pd.DataFrame:
    """Training images, one a letter; "-" is none."""
    rows = {
        "label": [None if each == "-" else each for each in labels],
        "group": list(groups or "0123456789"[: len(labels)]),
    }
    ids = [f"i{number}" for number in range(len(labels))]
    return pd.DataFrame({"image_id": ids, "subset": "train", "status": "ok", **rows})


def test_groups_are_counted_by_class():
    train = images_of("aaab-", "00123")
    assert groups_by_class(train, "abc").to_dict() == {"a": 2, "b": 1, "c": 0}
    assert most_folds(train, "ab") == 1
    assert most_folds(train, "a") == 2
    assert most_folds(train, "") == 4


def said(labels: str, classes: str, folds: int, groups: str | None = None) -> str:
    train = images_of(labels, groups)
    return shortage(train, list(classes), folds, train)


def test_what_is_short_of_groups_is_told_rarest_first():
    assert said("aaabbc", "abc", 3) == "Class 'c' has 1 group of training images for 3 folds; too few have also 'b' 2."
    assert said("aaabb", "ab", 3) == "Class 'b' has 2 groups of training images for 3 folds."  # a has just enough
    assert said("aab", "abcd", 1) == ("No training image is of class 'c', 'd', which the published validation set has.")


def test_too_few_groups_of_all_are_told_with_the_images_by_status():
    train = images_of("aab", "001")
    images = pd.concat([train, train.assign(status="too_small"), train.assign(subset="test", status="gone")])
    assert shortage(train, ["a", "b"], 3, images) == (
        "2 groups of usable training images can't be dealt into 3 folds; training images by status: 3 ok, 3 too_small; "
        "issues.csv of the audit says why."
    )
    assert shortage(train, ["a"], 3, images.iloc[:0]).endswith(
        "by status: none at all; issues.csv of the audit says why."
    )
    assert said("---", "", 3).startswith("3 groups of usable training images can't be dealt into 3 folds")
    assert said("aab", "ab", 3).startswith("Class 'b' has 1 group")  # as many groups as folds


def split_of(*rows: tuple[str, int]) -> pd.DataFrame:
    ids = [f"i{number}" for number in range(len(rows))]
    return pd.DataFrame({"image_id": ids, "subset": [row[0] for row in rows], "fold": [row[1] for row in rows]})


PARTS = [("train", 0), ("train", 1), ("test", -1), ("excluded", -1)]


def test_parts_without_a_class_are_found():
    splits = split_of(*PARTS, ("train", 1))
    found = gaps(splits, images_of("aabcb"), empty(BOXES))
    assert found == {"a": ["test"], "b": ["fold 0"]}  # c is in no part


def test_a_test_set_without_labels_has_no_gaps():
    assert gaps(split_of(*PARTS[:3]), images_of("ab-"), empty(BOXES)) == {"a": ["fold 1"], "b": ["fold 0"]}


def test_boxes_count_unless_they_are_regions_to_ignore():
    rows = [["i0", "a", False], ["i1", "a", False], ["i1", "b", False], ["i0", "b", True], ["i3", "b", False]]
    boxes = pd.DataFrame(rows, columns=["image_id", "label", "ignore"]).assign(xmin=0, ymin=0, xmax=1, ymax=1)
    assert gaps(split_of(*PARTS), images_of("----"), conform(boxes, BOXES)) == {"b": ["fold 0"]}


MISSING = {"a": ["fold 0", "test"], "b": ["fold 1"], "c": ["test"]}


def test_gaps_of_folds_and_hold_out_in_words():
    assert gap_notes(MISSING, published=False, test_published=False, remedy="Do so.") == [
        "Some folds can't score every class: 'a' is not in fold 0; 'b' is not in fold 1. Do so.",
        "The test set has no image of 'a', 'c', so the test says nothing about that; raise split.test_fraction, or set "
        "it to 0.",
    ]


def test_gaps_of_published_sets_in_words():
    assert gap_notes(MISSING, published=True, test_published=True, remedy="Do so.") == [
        "The published validation set has no image of 'a', so no score of it says anything about that; set "
        "split.published_val to merge.",
        "The published test set has no image of 'a', 'c', so the test says nothing about that; the score out of fold "
        "does.",
    ]


@pytest.mark.parametrize("published", [True, False])
def test_no_gap_no_words(published):
    assert gap_notes({}, published, published, "Do so.") == []
    notes = gap_notes({"b": ["fold 1"]}, published, published, "Do so.")  # fold 1 trains, beside a published set
    assert notes == ([] if published else ["Some folds can't score every class: 'b' is not in fold 1. Do so."])
    assert len(gap_notes({"c": ["test"]}, published, published, "Do so.")) == 1
