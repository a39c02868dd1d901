"""Thousands of classes take little memory: no matrix of them is made for each draw, and figures show some."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.images.decode import ImageReader
from tropho.metrics import confusion
from tropho.metrics.classification_metrics import classification_intervals, classification_metrics
from tropho.metrics.confusion import quantities_table, threshold_table
from tropho.metrics.curves import MOST_SHOWN, shown_classes
from tropho.plots import classification_plots as figures
from tropho.plots import detection_plots as detection_figures
from tropho.tables import BOX, BOXES, DETECTIONS, conform
from tropho.tasks import build_task

CLASSES = [f"c{number:04d}" for number in range(5000)]
IMAGES = 20
MOST = 500_000_000
"""Bytes."""


@pytest.fixture
def many(rng):
    """Class numbers (IMAGES,), probabilities (IMAGES, 5000) and groups."""
    truth = rng.integers(0, 50, IMAGES)
    values = rng.random((IMAGES, len(CLASSES)), np.float32).astype(np.float64)
    values[np.arange(IMAGES), truth] += 100
    return truth, values / values.sum(axis=1, keepdims=True), np.arange(IMAGES)


def peak(work) -> int:
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.fault("5,000 classes", "bounded memory")
def test_intervals_of_thousands_of_classes_take_little_memory(many):
    """The matrices of three draws alone would take 600 MB."""
    truth, values, groups = many
    assert peak(lambda: classification_intervals(truth, values, CLASSES, groups, draws=3)) < MOST / 2


def test_quantities_of_thousands_of_classes_take_little_memory(many):
    """The matrices of all draws would take 2 GB."""
    truth, values, groups = many
    some = CLASSES[:500]
    assert peak(lambda: quantities_table(truth, values.argmax(axis=1) % 500, some, groups)) < MOST / 2
    assert peak(lambda: threshold_table(truth, values[:, :500], [0.5] * 500, some, groups)) < MOST / 2


def test_parts_of_the_classes_give_what_all_give(rng, monkeypatch):
    truth, predicted, groups = rng.integers(0, 7, 60), rng.integers(0, 7, 60), np.arange(60) // 3
    scores = rng.random((60, 7))
    names = list("abcdefg")
    whole = quantities_table(truth, predicted, names, groups), threshold_table(truth, scores, [0.5] * 7, names, groups)
    monkeypatch.setattr(confusion, "MAX_CLASSES", 3)
    parts = quantities_table(truth, predicted, names, groups), threshold_table(truth, scores, [0.5] * 7, names, groups)
    for one, other in zip(whole, parts, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_many_images_and_classes_get_fewer_draws(rng, monkeypatch):
    from tropho.metrics import classification_metrics

    monkeypatch.setattr(classification_metrics, "MAX_RANKED", 1000)
    truth, values = rng.integers(0, 2, 20), rng.dirichlet(np.ones(2), 20)
    table = classification_intervals(truth, values, ["a", "b"], np.arange(20))
    assert table.loc["accuracy", "draws"] == classification_metrics.MIN_DRAWS


def test_the_most_frequent_classes_are_shown_in_their_order():
    labels = ["c0007"] * 3 + ["c0002"] * 2
    shown, told = shown_classes(pd.Series(labels), CLASSES)
    assert len(shown) == MOST_SHOWN
    assert shown[:3] == ["c0000", "c0001", "c0002"]
    assert told == "The 20 most frequent of 5,000 classes."
    assert shown_classes(pd.Series(labels), CLASSES[:20]) == (CLASSES[:20], "")
    assert shown_classes(pd.Series(["c4999"]), CLASSES)[0][-1] == "c4999"


def test_figures_and_notes_of_thousands_of_classes(many, settings, tmp_path):
    truth, values, _ = many
    ids = [f"{number}.png" for number in range(IMAGES)]
    task = build_task(settings("cells_demo"), CLASSES)
    table = task._table(pd.Series(ids, dtype="string"), values)
    labels = [CLASSES[number] for number in truth]
    images = pd.DataFrame({"image_id": ids, "path": ids, "label": labels, "group": ids})

    known = GroundTruth(images, pd.DataFrame())
    notes = build_evaluator(task).comments(known, build_evaluator(task).thresholds(known, table))
    assert len(notes) < 20
    reader = ImageReader(tmp_path)
    figures.classification_figures(images, table, CLASSES, reader, tmp_path / "figures", gallery=0)
    assert (tmp_path / "figures" / "confusion.png").exists()


def test_figures_of_thousands_of_classes_of_objects(tmp_path, rng):
    rows = [[f"{number}.png", CLASSES[number * 7], 5, 5, 20, 20] for number in range(IMAGES)]
    boxes = conform(pd.DataFrame(rows, columns=["image_id", "label", *BOX]), BOXES)
    found = conform(boxes.assign(score=rng.random(IMAGES)), DETECTIONS)
    images = pd.DataFrame({"image_id": boxes["image_id"], "path": boxes["image_id"]})

    reader = ImageReader(tmp_path)
    detection_figures.detection_figures(images, boxes, found, CLASSES, None, reader, tmp_path / "figures", gallery=0)
    assert (tmp_path / "figures" / "counts.png").exists()


def test_metrics_of_thousands_of_classes_are_the_same_as_ever(rng):
    truth, values = rng.integers(0, 4, 30), rng.dirichlet(np.ones(4), 30)
    few = classification_metrics(truth, values, CLASSES[:4])
    wide = classification_metrics(truth, np.hstack([values, np.zeros((30, 96))]), CLASSES[:100])
    for name in ("accuracy", "balanced_accuracy", "roc_auc", "mcc", "log_loss"):
        assert few[name] == pytest.approx(wide[name])
