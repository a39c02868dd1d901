"""Predictions of made-up members of an ensemble, and folders of trained folds."""

import pandas as pd
import pytest
import torch

from tropho.data.task_data import GroundTruth
from tropho.files import sha256_of
from tropho.inference.trained_folds import FILES
from tropho.tables import BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task

CLASSES = ["cat", "dog", "emu"]


@pytest.fixture
def detecting(settings, rng):
    """A task with fitted fusion, its truth of 25 images, and two detectors: one sees, one adds what is not there."""
    task = build_task(
        settings("smear_demo", **{"evaluate.fit_postprocess": True, "train.ensemble": {"bad": {"train.seed": 1}}}),
        ["Trophozoite", "WBC"],
    )
    ids = [f"i{number:02d}" for number in range(25)]  # so that the groups outside a part are 20
    rows = [[each, "WBC", 10.0, 10.0, 40.0, 40.0] for each in ids[5:]]
    boxes = conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES)
    truth = GroundTruth(
        conform(pd.DataFrame({"image_id": ids, "group": ids}).reindex(columns=list(IMAGES)), IMAGES), boxes
    )

    def detected(box, least, most):
        rows = [[each, "WBC", rng.uniform(least, most), *box] for each in ids]
        rows += [[each, "NEG", 0.6 if number < 5 else 0.4, 0, 0, 0, 0] for number, each in enumerate(ids)]
        return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)

    good, bad = detected([11.0, 10.0, 41.0, 40.0], 0.2, 0.4), detected([60.0, 60.0, 90.0, 90.0], 0.7, 0.9)
    return task, truth, {"base": [good], "bad": [bad]}, pd.Series(ids, index=ids)


@pytest.fixture
def without_negative(settings):
    """A task whose images have no negative row, with fitted fusion, and its truth: one box in each of 20 images."""
    chosen = {"audit.negative": None, "evaluate.fit_postprocess": True, "train.ensemble": {"other": {"train.seed": 1}}}
    task = build_task(settings("smear_demo", **chosen), ["Trophozoite", "WBC"])
    ids = [f"i{number:02d}" for number in range(20)]
    boxes = pd.DataFrame([[each, "WBC", 10.0, 10.0, 40.0, 40.0] for each in ids], columns=list(BOXES)[:-1])
    images = pd.DataFrame({"image_id": ids, "group": ids}).reindex(columns=list(IMAGES))
    return task, GroundTruth(conform(images, IMAGES), conform(boxes, BOXES))


@pytest.fixture
def cells(settings):
    """Makes a classification task of two classes with changed settings."""
    return lambda **changes: build_task(settings("cells_demo", **changes), CLASSES[:2])


@pytest.fixture
def fold(tmp_path):
    """A trained fold's folder, and its entry in run.json."""
    folder = tmp_path / "fold0"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_text("epoch,loss\n1,0.5\n")
    return folder, {"fold": 0, "sha256": {file: sha256_of(folder / file) for file in FILES}}


def found_in(image_ids: list[str], score: float) -> pd.DataFrame:
    """One detection of the same box in each image."""
    rows = [[each, "WBC", score, 10.0, 10.0, 40.0, 40.0] for each in image_ids]
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS) if rows else empty(DETECTIONS)


def labelled(*labels: str | None) -> GroundTruth:
    """Ground truth of images 0, 1, ... with these classes."""
    images = pd.DataFrame({"image_id": [str(number) for number in range(len(labels))], "label": labels})
    return GroundTruth(images.reindex(columns=list(IMAGES)).astype(IMAGES), empty(BOXES))


def says(task, *rows: list[float]) -> pd.DataFrame:
    """Predictions of images 0, 1, ... with these probabilities."""
    outputs = [{"probabilities": torch.tensor(row)} for row in rows]
    return task.to_table(outputs, [str(number) for number in range(len(rows))], None)
