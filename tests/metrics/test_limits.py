"""Just at a limit, and nothing at all: what counts there, and how much is held in memory at once."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tropho.boxes import box_ops
from tropho.boxes.box_ops import pair_iou, pairs_of_equal_key
from tropho.metrics import bootstrap, classification_metrics
from tropho.metrics.bootstrap import draws_of_groups
from tropho.metrics.calibration import MAX_TEMPERATURE, fit_temperature
from tropho.metrics.classification_metrics import classification_intervals
from tropho.metrics.curves import best_threshold, unreachable_recall
from tropho.metrics.leaderboard_map import RankedClass, leaderboard_intervals, rank, score_gain
from tropho.metrics.matching import match
from tropho.tables import BOXES, DETECTIONS, conform


def detections(*rows: tuple) -> pd.DataFrame:
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)


def boxes(*rows: tuple) -> pd.DataFrame:
    return conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES)


@pytest.mark.parametrize(("width", "sizes"), [(1, [3] * 6 + [2]), (15, [2] * 10), (99, [1] * 20)])
def test_draws_come_in_blocks_that_bound_memory(monkeypatch, width, sizes):
    monkeypatch.setattr(bootstrap, "MAX_WEIGHTS", 30)
    assert [len(block) for block in draws_of_groups(np.arange(10), draws=20, width=width)] == sizes


def test_pairs_come_in_blocks_that_bound_memory(monkeypatch):
    left, right = np.zeros(6, np.int64), np.zeros(2, np.int64)
    assert len(list(pairs_of_equal_key(left, right))) == 1
    monkeypatch.setattr(box_ops, "MAX_PAIRS", 4)
    blocks = list(pairs_of_equal_key(left, right))
    assert [len(rows) for rows, _ in blocks] == [2, 4, 4, 2]
    assert np.concatenate([rows for rows, _ in blocks]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_precisions_are_found_in_blocks_that_bound_memory(monkeypatch):
    ranking = rank(ONE, pd.concat([ONE] * 3))
    seen = []
    plain = RankedClass.average_precision
    monkeypatch.setattr(
        RankedClass, "average_precision", lambda self, weights: seen.append(len(weights)) or plain(self, weights)
    )
    monkeypatch.setattr(bootstrap, "MAX_WEIGHTS", 12)
    leaderboard_intervals(ranking, pd.Series(["g", "h"], index=["a", "b"]), "score", draws=10)
    assert seen == [1, 1, 4, 4, 4, 4, 2, 2]  # both classes have three detections a draw


ONE = detections(("a", "X", 1.0, 0, 0, 9, 9), ("b", "Y", 1.0, 0, 0, 9, 9))


def test_a_class_that_is_not_drawn_is_undefined_without_a_warning():
    ranking = rank(ONE, ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = {name: each.average_precision(np.eye(2)) for name, each in ranking.classes.items()}
        nothing = leaderboard_intervals(ranking, pd.Series("g", index=["a", "b"]), "score")
    np.testing.assert_array_equal(values["X"], [1.0, np.nan])
    np.testing.assert_array_equal(values["Y"], [np.nan, 1.0])
    assert nothing.loc["score", "value"] == 1.0


def test_rows_of_unknown_classes_and_images_claim_nothing():
    truth = detections(("a", "X", 1, 0, 0, 9, 9), ("a", "Y", 1, 0, 0, 9, 9), ("b", "X", 1, 0, 0, 9, 9))
    found = detections(
        ("a", "X", 1, 0, 0, 9, 9), ("b", "other", 1, 0, 0, 9, 9), ("zzz", "X", 1, 0, 0, 9, 9), ("b", "X", 1, 0, 0, 9, 9)
    )
    hits = {name: (each.image.tolist(), each.is_tp.tolist()) for name, each in rank(truth, found).classes.items()}
    assert hits == {"X": ([0, 1], [True, True]), "Y": ([], [])}


def test_a_gain_has_its_sign():
    groups = pd.Series(["g", "h"], index=["a", "b"])
    wrong = ONE.assign(label=["X", "X"])
    assert score_gain(rank(ONE, ONE), rank(ONE, wrong), groups, draws=50)["value"] == pytest.approx(0.5)
    assert score_gain(rank(ONE, wrong), rank(ONE, ONE), groups, draws=50)["value"] == pytest.approx(-0.5)


def test_a_required_sensitivity_that_is_just_reached_is_reached():
    choice = best_threshold([True, False, True], [0.9, 0.8, 0.7], min_recall=0.5)
    assert (choice["threshold"], choice["recall"]) == (0.9, 0.5)
    assert best_threshold([True, False], [0.9, 0.8], min_recall=1.0)["threshold"] == 0.9


def recalls(count: int) -> dict:
    return {f"c{number:02d}": {"recall": 0.4} for number in range(count)}


def test_classes_that_reach_a_required_sensitivity_nowhere_are_named():
    said = "No threshold reaches the required sensitivity of 0.5 for "
    assert unreachable_recall(recalls(1), None) == []
    assert unreachable_recall({"a": {"recall": 0.5}, "b": 0.1}, 0.5) == []
    assert unreachable_recall({"a": {"recall": 0.5}, "b": {"recall": 0.49}, "c": {}}, 0.5) == [f"{said}b, c."]
    names = ", ".join(recalls(20))
    assert unreachable_recall(recalls(20), 0.5) == [f"{said}{names}."]
    assert unreachable_recall(recalls(22), 0.5) == [f"{said}{names} and 2 more."]


@pytest.mark.parametrize(("affordable", "draws"), [(12_000, 300), (1_000, 200), (99_000, 1000)])
def test_there_are_as_many_draws_as_can_be_afforded(monkeypatch, rng, affordable, draws):
    monkeypatch.setattr(classification_metrics, "MAX_RANKED", affordable)
    truth, values = rng.integers(0, 2, 20), rng.dirichlet(np.ones(2), 20)
    assert classification_intervals(truth, values, ["a", "b"], np.arange(20))["draws"].max() == draws


def test_logits_that_say_nothing_are_taken_for_as_unsure_as_can_be():
    assert fit_temperature(np.zeros((3, 2)), np.array([0, 1, 1])) == MAX_TEMPERATURE


def test_boxes_that_do_not_touch_never_match_whatever_overlap_is_asked_for():
    truth, found = (
        boxes(("a", "X", 0, 0, 10, 10)),
        detections(("a", "X", 0.9, 20, 0, 30, 10), ("a", "X", 0.8, 9, 9, 30, 30)),
    )
    assert match(truth, found, iou=0.0).detections["hit"].tolist() == [False, True]


def test_boxes_without_area_overlap_by_nothing():
    flat = np.array([[5.0, 5.0, 5.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pair_iou(flat, flat).tolist() == [0.0, 0.0]
    assert pair_iou(flat, flat, 1.0).tolist() == [1.0, 1.0]


def test_logits_may_be_large():
    logits, truth = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), np.array([0, 0, 1])
    assert fit_temperature(logits + 1000, truth) == pytest.approx(fit_temperature(logits, truth), rel=1e-9)
