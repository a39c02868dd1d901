"""Detections in ignored regions are neither right nor wrong."""

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.metrics.matching import drop_ignored
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task

REGION = ["a", "WBC", 100, 0, 200, 100]


def boxes(*rows, ignore=False):
    return conform(pd.DataFrame(rows, columns=["image_id", "label", *BOX]).assign(ignore=ignore), BOXES)


def detections(*rows):
    return conform(pd.DataFrame(rows, columns=["image_id", "label", "score", *BOX]), DETECTIONS)


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ([110, 10, 130, 30], False),
        ([90, 10, 110, 30], False),  # half inside
        ([89, 10, 109, 30], True),
        ([150, 50, 250, 150], True),  # a quarter inside
        ([10, 10, 30, 30], True),
        ([140, 40, 160, 60], True),  # hits the object there
        ([0, 0, 0, 0], True),  # such as a negative row
    ],
)
def test_a_detection_goes_where_most_of_it_is_in_a_region_and_it_hits_nothing(box, kept):
    objects = boxes(["a", "WBC", 140, 40, 160, 60])
    found = detections(["a", "WBC", 0.9, *box], ["b", "WBC", 0.8, 110, 10, 130, 30])
    left = drop_ignored(found, objects, boxes(REGION, ignore=True))
    assert len(left) == 1 + kept


@pytest.mark.parametrize("negative", ["NEG", None])
def test_scores_are_equal_with_and_without_detections_in_regions(settings, negative):
    task = build_task(settings("smear_demo", **{"audit.negative": negative}), ["Trophozoite", "WBC"])
    evaluator = build_evaluator(task)
    images = conform(
        pd.DataFrame({"image_id": ["a", "b", "c"], "group": ["a", "b", "c"]}).reindex(columns=IMAGES), IMAGES
    )
    truth = GroundTruth(
        images, boxes(["a", "WBC", 10, 10, 40, 40]), boxes(REGION, ["b", "WBC", 0, 0, 50, 50], ignore=True)
    )
    rows = [["a", "WBC", 0.7, 10, 10, 40, 40], ["c", "Trophozoite", 0.2, 5, 5, 9, 9]]
    rows += (
        [[name, "NEG", score, 0, 0, 0, 0] for name, score in zip("abc", [0.1, 0.9, 0.5], strict=True)]
        if negative
        else []
    )
    crowd = [["a", "WBC", 0.99, 110, 10, 140, 40], ["b", "Trophozoite", 0.9, 5, 5, 20, 20]]
    plain, crowded = detections(*rows), detections(*crowd, *rows)
    assert task.score(truth, plain) == task.score(truth, crowded) == 1.0
    assert evaluator.metrics(truth, plain) == pytest.approx(evaluator.metrics(truth, crowded), nan_ok=True)
    assert evaluator.thresholds(truth, plain) == evaluator.thresholds(truth, crowded)
    pd.testing.assert_frame_equal(*(evaluator.tables(truth, each, {})["metrics"] for each in (plain, crowded)))
    assert evaluator.label_issues(truth, crowded).empty
    without = GroundTruth(images, truth.boxes)
    assert task.score(without, crowded) < 1.0


def test_nothing_changes_without_regions():
    found = detections(["a", "WBC", 0.9, 1, 1, 5, 5])
    assert drop_ignored(found, boxes(), empty(BOXES)) is found
