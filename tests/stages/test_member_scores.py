"""Members are scored as their ensemble is: classes that annotators left out of an image count for neither."""

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth
from tropho.inference.predictor import Predictor
from tropho.stages.evaluate import _write_members
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, conform, empty, join_names
from tropho.tasks import build_task

CLASSES = ["Trophozoite", "WBC"]


def test_write_members_drops_ignore_classes(settings, tmp_path):
    """WBC are found in "b" first of all, where annotators drew none on purpose."""
    task = build_task(
        settings("smear_demo", **{"audit.negative": None, "train.ensemble": {"x": {"train.seed": 1}}}), CLASSES
    )
    ids = ["a", "b"]
    images = conform(pd.DataFrame({"image_id": ids}).reindex(columns=list(IMAGES)), IMAGES)
    images = images.assign(ignore_classes=pd.Series([pd.NA, join_names(["WBC"])], dtype="string"))
    rows = [["a", "WBC", 0.5, 10.0, 10.0, 30.0, 30.0], ["b", "WBC", 0.9, 10.0, 10.0, 30.0, 30.0]]
    found = conform(pd.DataFrame(rows, columns=["image_id", "label", "score", *BOX]), DETECTIONS)
    boxes = conform(pd.DataFrame([["a", "WBC", 10.0, 10.0, 30.0, 30.0]], columns=["image_id", "label", *BOX]), BOXES)
    truth = GroundTruth(images, boxes, empty(BOXES))
    members = {name: {0: Predictor(task, None)} for name in ("base", "x")}
    scores = _write_members(members, {"base": [found], "x": [found]}, truth, tmp_path)
    together = task.score(truth, task.postprocess(found, ignore_classes=truth.ignore_classes))
    assert together == pytest.approx(1.0)
    assert {name: each["leaderboard_map"] for name, each in scores.items()} == {"base": together, "x": together}
