"""A training's data sets and description, as MLflow stores them."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth, TaskData
from tropho.tables import BOXES, empty
from tropho.tracking import open_tracker, tracking_uri
from tropho.tracking.describe_run import count, data_sets, training_note
from tropho.tracking.recorder import KEPT_BELOW
from tropho.tracking.run_names import NOTE
from tropho.tracking.store import connect

pytestmark = pytest.mark.usefixtures("own_environment")
RECORD = {
    "parameters": 12345,
    "folds": [{"score": 0.5}, {"score": 0.75}, {"score": None}],
    "members": {"wide": {}},
}


def task_data(data_hash="a"):
    images = pd.DataFrame(
        {"image_id": ["1", "2", "3", "4"], "group": ["x", "x", "y", "z"], "label": ["bad", "good", "good", None]}
    )
    gt = GroundTruth(images, empty(BOXES))
    return TaskData(gt, {0: ["1", "2"], 1: ["3"]}, ["4"], SimpleNamespace(), ["bad", "good"], data_hash)


def test_count_of_labels_and_of_boxes():
    images = pd.DataFrame({"image_id": ["1", "2"], "group": ["x", "x"], "label": ["bad", None]})
    assert count(GroundTruth(images, empty(BOXES))) == {"images": 2, "groups": 1, "images of bad": 1}
    boxes = pd.DataFrame({"image_id": ["1", "1", "2"], "label": ["WBC", "WBC", "trophozoite"]})
    assert count(GroundTruth(images, boxes)) == {
        "images": 2,
        "groups": 1,
        "boxes of WBC": 2,
        "boxes of trophozoite": 1,
    }


def test_data_sets_of_folds_differ_and_follow_the_data():
    found = {each["name"]: each for each in data_sets("t", task_data(), 0)}
    assert {name: each["counts"]["images"] for name, each in found.items()} == {"t training": 1, "t validation": 2}
    digests = {each["digest"] for fold in (None, 0, 1) for each in data_sets("t", task_data(), fold)}
    assert len(digests) == 4  # with two folds, one's training images are those that validate the other
    assert all(len(digest) <= 36 for digest in digests)
    assert digests.isdisjoint(each["digest"] for fold in (None, 0, 1) for each in data_sets("t", task_data("b"), fold))
    assert [each["context"] for each in data_sets("t", task_data())] == ["training", "test"]


def test_data_sets_in_mlflow(root):
    wanted = data_sets("t", task_data())
    run_id = None
    for _ in range(2):  # a run that is reopened records them again
        with open_tracker(root).run("train t", "t", run_id=run_id) as run:
            run_id = run.id
            for each in wanted:
                run.log_data_set(each)
    inputs = connect(tracking_uri(root)).get_run(run_id).inputs.dataset_inputs
    stored = {each.dataset.name: each for each in inputs}
    assert {name: each.dataset.digest for name, each in stored.items()} == {
        each["name"]: each["digest"] for each in wanted
    }
    training = stored["t training"]
    assert [(tag.key, tag.value) for tag in training.tags] == [("mlflow.data.context", "training")]
    assert json.loads(training.dataset.profile) == {"images": 3, "groups": 2, "images of bad": 1, "images of good": 2}
    assert json.loads(training.dataset.source) == {"uri": "data/audit/t/images.csv"}


def test_note_before_and_after_evaluation(settings):
    cells = settings("cells_demo")
    note = training_note(cells, RECORD, "balanced_accuracy")
    assert "Mean balanced_accuracy over folds: **0.6250** (0.5000, 0.7500, undefined)." in note
    assert "12,345 parameters" in note
    assert "Ensemble with wide" in note
    metrics = {
        "headline": {"name": "balanced_accuracy", "value": 0.7, "low": 0.6, "high": 0.8, "subset": "test"},
        "oof": {"balanced_accuracy": 0.65},
        "test": {"balanced_accuracy": 0.7},
    }
    note = training_note(cells, RECORD, "balanced_accuracy", metrics)
    assert "- balanced_accuracy out of fold: **0.6500**\n" in note
    assert "- balanced_accuracy on the test images: **0.7000** [0.6000, 0.8000]" in note


def test_words_of_a_user_stay_in_a_description(root):
    client, tracker = connect(tracking_uri(root)), open_tracker(root)
    with tracker.run("train t", "t") as run:
        run.write_note("first")
    client.set_tag(run.id, NOTE, client.get_run(run.id).data.tags[NOTE] + "\n\nMy words.")
    with tracker.run("train t", "t", run_id=run.id) as run:
        run.write_note("second")
    assert client.get_run(run.id).data.tags[NOTE] == f"second\n\n{KEPT_BELOW}\n\nMy words."
    client.set_tag(run.id, NOTE, "All mine.")
    with tracker.run("train t", "t", run_id=run.id) as run:
        run.write_note("third")
    assert client.get_run(run.id).data.tags[NOTE] == "All mine."
