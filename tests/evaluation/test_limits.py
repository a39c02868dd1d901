"""Suspects just at the limits of the rules, and what is said of each kind."""

import warnings

import numpy as np
import pandas as pd
import pytest
from suspects.test_boxes import IMAGES, RIGHT, SURE, boxes, finds, judged

from tropho.evaluation.box_issues import find_box_issues
from tropho.evaluation.label_issues import find_label_issues, share_above


def reasons(labels: list[tuple], found: list[tuple], negative: str | None = None) -> list[tuple[str, str]]:
    table = find_box_issues(IMAGES, boxes(*RIGHT, *labels), finds(*SURE, *found), negative)
    return list(zip(table["kind"], table["reason"], strict=True))


def test_what_is_as_likely_wrong_as_right_is_suspect():
    """Of two equally sure finds of a class one is right."""
    found = [("a", "Trophozoite", 0.9, 0, 0, 50, 50), ("a", "Trophozoite", 0.9, 300, 0, 350, 50)]
    (suspect,) = judged([("a", "Trophozoite", 0, 0, 50, 50)], found)
    assert (suspect[0], suspect[4]) == ("unlabelled", 0.5)
    assert judged([("a", "Trophozoite", 0, 0, 50, 50)], [*found, ("a", "Trophozoite", 0.9, 600, 0, 650, 50)]) == []


def test_another_class_that_overlaps_by_just_what_a_hit_needs():
    box = ("a", "Trophozoite", 0, 0, 50, 50)
    assert [row[0] for row in judged([box], [("a", "WBC", 0.92, 0, 0, 50, 25)])] == ["swap"]
    assert "swap" not in [row[0] for row in judged([box], [("a", "WBC", 0.92, 0, 0, 50, 24)])]


def test_a_second_box_that_overlaps_by_just_what_a_hit_needs():
    labels = [("a", "WBC", 0, 0, 50, 50), ("a", "WBC", 0, 0, 50, 25)]
    assert [row[0] for row in judged(labels, [("a", "WBC", 0.95, 0, 0, 50, 50)])] == ["duplicate"]
    labels[1] = ("a", "WBC", 0, 0, 50, 24)
    assert "duplicate" not in [row[0] for row in judged(labels, [("a", "WBC", 0.95, 0, 0, 50, 50)])]


def test_a_misplaced_box_is_as_suspect_as_the_find_is_believed_and_pairs_overlap_more():
    (suspect,) = judged([("a", "WBC", 25, 0, 75, 50)], [("a", "WBC", 0.92, 0, 0, 50, 50)])
    assert suspect[4] == pytest.approx((20 / 21) ** 2, abs=1e-6)  # 20 of 21 such finds are right, and overlap more


def test_reasons_by_kind():
    missed, found = [("a", "WBC", 0, 0, 50, 50)], ("a", "WBC", 0.92, 0, 0, 50, 50)
    assert reasons(missed, []) == [("spurious", "the surest find there has 0.00")]
    assert reasons([], [found]) == [("unlabelled", "WBC found with 0.92")]
    assert reasons([], [("empty", *found[1:])], "NEG") == [("not_negative", "WBC found with 0.92")]
    assert reasons([("a", "Trophozoite", 0, 0, 50, 50)], [found]) == [("swap", "found as WBC with 0.92")]
    assert reasons([("a", "WBC", 25, 0, 75, 50)], [found]) == [("badloc", "found here with 0.92")]
    double = [*missed, ("a", "WBC", 5, 5, 50, 50)]
    assert reasons(double, [("a", "WBC", 0.95, 0, 0, 50, 49)]) == [("duplicate", "one find of 0.95 has two boxes")]


def test_the_surest_find_near_a_box_that_is_not_found_is_told():
    """There are finds as unsure wherever nothing is annotated."""
    chance = [("ok", "WBC", 0.1, 1950 - 100 * place, 950, 2000 - 100 * place, 1000) for place in range(20)]
    told = reasons([("a", "WBC", 0, 0, 50, 50)], [("a", "WBC", 0.1, 0, 0, 50, 30), *chance])
    assert ("spurious", "the surest find there has 0.10") in told


def classes(truth: list[int], *rows: list[float]) -> list[str]:
    ids = [str(number) for number in range(len(truth))]
    return find_label_issues(ids, np.array(truth), np.array(rows), ["cat", "dog"])["image_id"].tolist()


def test_a_class_is_believed_from_its_mean_on():
    assert classes([0, 1, 1], [0.75, 0.25], [0.25, 0.75], [0.75, 0.25]) == ["2"]  # just as sure as cats are
    assert classes([0, 1, 1], [0.76, 0.24], [0.25, 0.75], [0.75, 0.25]) == []


def test_a_class_that_is_just_as_likely_as_the_label_does_not_make_it_suspect():
    assert classes([0, 1], [0.5, 0.5], [0.5, 0.5]) == []


def test_the_share_of_higher_values_of_a_group():
    values, groups = pd.Series([1.0, 2.0, 2.0, 3.0, 0.5]), pd.Series(["a", "a", "a", "a", "b"])
    assert share_above(values, groups).tolist() == [0.75, 0.25, 0.25, 0.0, 0.0]


def test_a_class_without_images_is_left_alone_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert classes([0, 0], [0.9, 0.1], [0.2, 0.8]) == []
