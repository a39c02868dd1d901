"""COCO's mean average precision: cases by hand, and what is undefined."""

import numpy as np
import pandas as pd
import pytest

from tropho.metrics.coco_map import coco_map
from tropho.tables import BOXES, DETECTIONS, empty


def detections(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(DETECTIONS)).astype(DETECTIONS)


TRUTH = detections(
    ("a", "X", 1, 0, 0, 10, 10),
    ("b", "X", 1, 0, 0, 10, 10),
    ("a", "Y", 1, 20, 20, 40, 40),
)


def test_a_case_by_hand(capfd):
    predictions = detections(
        ("a", "X", 0.9, 0, 0, 10, 10),
        ("b", "X", 0.8, 0, 0, 10, 7),  # overlap 0.7: found at 5 of the 10 limits
        ("a", "Y", 0.9, 0, 0, 5, 5),
        ("elsewhere", "X", 0.99, 0, 0, 10, 10),
        ("a", "other", 0.99, 0, 0, 10, 10),
    )
    values = coco_map(TRUTH, predictions, ["a", "b", "empty"], ["X", "Y", "Z"])
    half = 51 / 101  # the recalls 0, 0.01, ... 0.5
    assert values == pytest.approx(
        {
            "map50": 0.5,
            "map50_95": (1 + half) / 4,
            "map50/X": 1.0,
            "map50_95/X": (1 + half) / 2,
            "map50/Y": 0.0,
            "map50_95/Y": 0.0,
            "map50/Z": np.nan,
            "map50_95/Z": np.nan,
        },
        abs=1e-12,
        nan_ok=True,
    )
    assert capfd.readouterr() == ("", "")


def test_detections_in_an_image_without_boxes_count_against_it():
    perfect = coco_map(TRUTH, TRUTH, ["a", "b", "empty"], ["X", "Y"])
    assert perfect["map50_95"] == pytest.approx(1.0)
    false = detections(("empty", "X", 1, 0, 0, 9, 9))
    surer = pd.concat([false, TRUTH.assign(score=0.5)])
    assert coco_map(TRUTH, surer, ["a", "b", "empty"], ["X", "Y"])["map50/X"] == pytest.approx(2 / 3)


def test_nothing_predicted_is_zero_and_nothing_true_is_undefined():
    assert coco_map(TRUTH, empty(DETECTIONS), ["a", "b"], ["X", "Y"])["map50"] == 0.0
    values = coco_map(empty(BOXES), TRUTH, ["a", "b"], ["X", "Y"])
    assert np.isnan(list(values.values())).all()
    assert np.isnan(coco_map(empty(BOXES), empty(DETECTIONS), [], ["X"])["map50"])
