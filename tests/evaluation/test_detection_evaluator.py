"""Evaluation of detections."""

import numpy as np
import pandas as pd
import pytest

from tasks.two_images import Sizes, output, truth_of
from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.images.decode import ImageReader
from tropho.tables import BOX, DETECTIONS, conform, empty
from tropho.tasks import build_task


@pytest.fixture
def detection(settings):
    """Makes a detection task of two classes with changed settings."""
    return lambda **changes: build_task(settings("smear_demo", **changes), ["Trophozoite", "WBC"])


def test_comments_on_images_without_objects(detection):
    assert build_evaluator(detection()).comments(truth_of(["a", "b"], []), {}) == [
        "None of these 2 images has an object, so the score is that of 'NEG' alone."
    ]
    task = detection(**{"audit.negative": None})
    evaluator = build_evaluator(task)
    assert evaluator.comments(truth_of(["a"], []), {}) == [
        "None of these 1 images has an object, so the score is undefined."
    ]
    assert evaluator.comments(truth_of(["a"], [["a", "WBC", 0, 0, 9, 9]]), {}) == []
    assert np.isnan(task.score(truth_of(["a"], []), empty(DETECTIONS)))


def test_metrics_exclude_negative_rows_from_boxes(detection):
    task, truth = detection(), truth_of(["a", "b"], [["a", "WBC", 20, 20, 60, 70]])
    table = task.to_table([output([[10, 10, 30, 35]], [0.9], [1], 0.9), output([], [], [], 0.1)], ["a", "b"], Sizes())
    assert set(build_evaluator(task).metrics(truth, table)) >= {"ap/NEG", "ap/WBC", "map50/WBC"}
    assert build_evaluator(task).metrics(truth, table)["map50"] == 1.0
    assert set(build_evaluator(task).thresholds(truth, table)) == {"Trophozoite", "WBC"}


@pytest.fixture
def task(settings):
    return build_task(settings("smear_demo"), ["Trophozoite", "WBC"])


def test_label_issues_in_an_empty_image(task):
    boxes = [[f"im{number}", "WBC", 20.0, 20.0, 60.0, 70.0] for number in range(9)]
    truth = truth_of([*(row[0] for row in boxes), "none"], boxes)
    truth = GroundTruth(truth.images.assign(width=200, height=100), truth.boxes)
    found = task.to_table([output([[10, 10, 30, 35]], [0.9], [1], 0.9)] * 10, list(truth.images["image_id"]), Sizes())
    suspects = build_evaluator(task).label_issues(truth, task.postprocess(found))
    told = suspects[["image_id", "kind", "action", "label", *BOX]].to_numpy().tolist()
    assert told == [["none", "not_negative", "add", "WBC", 20, 20, 60, 70]]
    assert suspects["score"].tolist() == [pytest.approx(0.9, abs=1e-6)]  # nine of ten such finds are right


def chosen(settings, **overrides) -> dict:
    """Thresholds for a hit at 0.9, a false alarm at 0.8, a hit at 0.5 and two more false alarms down to 0.3."""
    task = build_task(settings("smear_demo", **overrides), ["Trophozoite", "WBC"])
    boxes = [["a", "WBC", 10.0, 10.0, 30.0, 30.0], ["a", "WBC", 60.0, 10.0, 90.0, 40.0]]
    far = [[120.0 + 20 * number, 60.0, 130.0 + 20 * number, 70.0] for number in range(3)]
    found = [boxes[0][2:], far[0], far[1], far[2], boxes[1][2:]]
    rows = [["a", "WBC", score, *box] for score, box in zip([0.9, 0.8, 0.7, 0.6, 0.5], found, strict=True)]
    predictions = conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)
    return build_evaluator(task).thresholds(truth_of(["a"], boxes), predictions)["WBC"]


def test_thresholds_follow_the_settings(settings):
    assert chosen(settings)["threshold"] == 0.9  # F1 2/3 against 4/7 with everything
    assert chosen(settings, **{"evaluate.beta": 2.0})["threshold"] == 0.5  # F2 10/13 against 5/9
    assert chosen(settings, **{"evaluate.beta": 1.0})["threshold"] == 0.9
    required = chosen(settings, **{"evaluate.min_recall": 0.9})
    assert (required["threshold"], required["recall"], required["precision"]) == (0.5, 1.0, 0.4)


def test_plots_draw_the_curve_of_beta(settings, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "tropho.evaluation.detection_evaluator.detection_figures", lambda *given: seen.append(given[-1])
    )
    task = build_task(settings("smear_demo", **{"evaluate.beta": 2.0}), ["Trophozoite", "WBC"])
    truth = truth_of(["a"], [["a", "WBC", 10.0, 10.0, 30.0, 30.0]])
    build_evaluator(task).plots(
        truth, conform(pd.DataFrame(columns=list(DETECTIONS)), DETECTIONS), {}, ImageReader(tmp_path), tmp_path
    )
    assert seen == [2.0]
