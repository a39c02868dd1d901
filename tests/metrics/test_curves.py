"""Curves, their areas and the thresholds chosen on them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tropho.metrics.curves import (
    best_threshold,
    classification_curves,
    detection_curves,
    pick_threshold,
    sweep_thresholds,
)
from tropho.tables import BOXES, DETECTIONS, conform, empty

scored = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.2, 0.5, 1.0]) | st.floats(0, 1)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=50, deadline=None)
@given(scored)
def test_areas_and_points_agree_with_scikit_learn(pairs):
    hits, scores = (np.array(each) for each in zip(*pairs, strict=True))
    points = sweep_thresholds(hits, scores)
    if not hits.any():
        assert np.isnan(points.average_precision())
        assert np.isnan(points.recall).all()
        return
    assert points.average_precision() == pytest.approx(sk.average_precision_score(hits, scores), abs=1e-12)
    precision, recall, threshold = sk.precision_recall_curve(hits, scores)
    np.testing.assert_allclose(points.threshold, threshold[::-1])
    np.testing.assert_allclose(points.precision, precision[-2::-1], atol=1e-12)
    np.testing.assert_allclose(points.recall, recall[-2::-1], atol=1e-12)
    if hits.all():
        assert np.isnan(points.roc_auc())
    else:
        assert points.roc_auc() == pytest.approx(sk.roc_auc_score(hits, scores), abs=1e-12)
        np.testing.assert_allclose(points.fpr, sk.roc_curve(hits, scores, drop_intermediate=False)[0][1:])


@settings(max_examples=50, deadline=None)
@given(scored, st.floats(0.2, 4))
def test_best_threshold_is_the_best_of_all(pairs, beta):
    hits, scores = (np.array(each) for each in zip(*pairs, strict=True))
    choice = best_threshold(hits, scores, beta)
    if not hits.any():
        assert set(choice.values()) == {None}
        return
    tried = {each: sk.fbeta_score(hits, scores >= each, beta=beta, zero_division=0) for each in scores}
    assert choice["f_beta"] == pytest.approx(max(tried.values()), abs=1e-12)
    assert tried[choice["threshold"]] == pytest.approx(choice["f_beta"], abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(scored, st.floats(0, 1))
def test_required_sensitivity_is_reached_at_the_highest_threshold(pairs, sensitivity):
    hits, scores = (np.array(each) for each in zip(*pairs, strict=True))
    if hits.any():
        choice = best_threshold(hits, scores, min_recall=sensitivity)
        assert choice["recall"] >= sensitivity
        above = scores > choice["threshold"]
        assert not above.any() or (hits & above).sum() / hits.sum() < sensitivity


def rows(schema: dict, *values: tuple) -> pd.DataFrame:
    return conform(pd.DataFrame(values, columns=list(schema)[: len(values[0])]), schema)


TRUTH = rows(BOXES, ("a", "X", 0, 0, 10, 10), ("a", "X", 20, 0, 30, 10), ("b", "X", 0, 0, 10, 10))
FOUND = rows(
    DETECTIONS,
    ("a", "X", 0.9, 0, 0, 10, 10),
    ("b", "X", 0.8, 50, 50, 60, 60),
    ("a", "X", 0.7, 20, 0, 30, 9),
    ("a", "Y", 0.6, 0, 0, 5, 5),
)


def test_detection_curve_counts_boxes_that_are_never_found():
    curves = detection_curves(TRUTH, FOUND, ["X", "Y", "Z"])
    np.testing.assert_allclose(curves["X"].recall, [1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(curves["X"].precision, [1, 1 / 2, 2 / 3])
    assert curves["X"].average_precision() == pytest.approx(1 / 3 + 2 / 9, abs=1e-12)
    assert curves["Y"].precision.tolist() == [0.0]
    assert np.isnan(curves["Y"].average_precision())
    assert curves["Z"].threshold.size == 0


def test_thresholds_by_class_are_ready_for_json():
    curves = detection_curves(TRUTH, FOUND, ["X", "Y", "Z"])
    chosen = {name: pick_threshold(sweep) for name, sweep in curves.items()}
    two_thirds = dict.fromkeys(("precision", "recall", "f_beta"), 2 / 3)
    assert chosen["X"] == pytest.approx({"threshold": 0.7, **two_thirds})
    assert set(chosen["Y"].values()) == set(chosen["Z"].values()) == {None}
    assert pick_threshold(curves["X"], min_recall=0.3)["threshold"] == 0.9
    assert pick_threshold(curves["X"], min_recall=1.0)["recall"] == pytest.approx(2 / 3)


def test_no_detections_leave_nothing_to_choose():
    sweep = detection_curves(TRUTH, empty(DETECTIONS), ["X"])["X"]
    assert set(pick_threshold(sweep).values()) == {None}
    assert sweep.average_precision() == 0.0


def test_classification_curves_are_one_against_the_rest(rng):
    truth, probabilities = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    curves = classification_curves(truth, probabilities, ["a", "b", "c"])
    assert curves["b"].roc_auc() == pytest.approx(sk.roc_auc_score(truth == 1, probabilities[:, 1]), abs=1e-12)
