"""Tests of the photos with boxes: outcomes at any confidence, and pictures of the first screen."""

import json

import numpy as np
import pandas as pd
import pytest

from stage_outputs import classification_dataset, detection_dataset, write_data, write_results, write_runs
from tropho.images.cache import write_cache
from tropho.metrics.matching import match
from tropho.paths import Paths
from tropho.report.blocks import Photos, Pictures
from tropho.report.photos import drawn, first_pictures, photo_viewer
from tropho.report.reader import Reader

CLASSES = ["Trophozoite", "WBC"]


@pytest.fixture
def reader(tmp_path, settings, rng):
    """Reader of a detection task whose out-of-fold predictions and image cache are there."""
    task = settings("smear_demo")
    dataset = detection_dataset(tmp_path / "raw", 12, rng, CLASSES)
    write_data(tmp_path, task.name, dataset)
    write_runs(tmp_path, task.name, dataset, task.model_dump(), folds=3)
    write_results(tmp_path, task.name, dataset, "leaderboard_map", 0.8)
    paths = Paths(tmp_path, task.name)
    dataset.predictions.to_parquet(paths.evaluate / "oof_postprocessed.parquet")
    write_cache(dataset.images, dataset.raw, paths.augmented / "cache", 48)
    return Reader(task, paths)


def tables(reader):
    ids = pd.read_csv(reader.paths.splits).query("subset == 'train'")["image_id"]
    boxes = pd.read_csv(reader.paths.audit / "boxes.csv")
    found = pd.read_parquet(reader.paths.evaluate / "oof_postprocessed.parquet").query("label != 'NEG'")
    return [table[table["image_id"].isin(ids)].reset_index(drop=True) for table in (boxes, found)]


@pytest.mark.parametrize("percent", [0, 30, 57, 100])
def test_counts_are_those_of_matching_at_that_confidence(reader, percent):
    (viewer,) = photo_viewer(reader)
    assert isinstance(viewer, Photos)
    boxes, found = tables(reader)
    matches = match(boxes, found[found["score"] >= percent / 100])
    for index, name in enumerate(CLASSES):
        own = matches.detections[matches.detections["label"] == name]
        assert viewer.counts[percent][index] == [int(own["hit"].sum()), int((~own["hit"]).sum())]
        assert viewer.truths[index] == (boxes["label"] == name).sum()


def test_visible_marks_are_the_outcomes_at_the_chosen_thresholds(reader):
    (viewer,) = photo_viewer(reader)
    boxes, found = tables(reader)
    matches = match(boxes, found[found["score"] >= 0.34])
    expected = {
        "hit": matches.detections["hit"].sum(),
        "false": (~matches.detections["hit"]).sum(),
        "missed": (~matches.truths["hit"]).sum(),
    }
    assert len(viewer.photos) == 8  # of the training images that are in a fold
    marks = [mark for photo in viewer.photos for mark in photo.marks if mark.visible]
    assert {kind: sum(mark.kind == kind for mark in marks) for kind in expected} == expected


def test_boxes_are_in_pixels_of_the_photo(reader):
    (viewer,) = photo_viewer(reader)
    boxes, _ = tables(reader)
    photo = next(photo for photo in viewer.photos if any(mark.kind == "missed" for mark in photo.marks))
    name = photo.picture.caption.split(":")[0]
    assert (photo.picture.width, photo.picture.height) == (48, 32)
    corners = boxes.loc[boxes["image_id"] == name, ["xmin", "ymin", "xmax", "ymax"]].to_numpy() / 2
    for mark in photo.marks:
        if mark.kind == "missed":
            assert np.abs(corners - mark.box).max(axis=1).min() < 0.06  # rounded to tenths


def test_a_photo_is_drawn_for_pages_without_layers(reader):
    (viewer,) = photo_viewer(reader)
    picture = drawn(viewer.photos[0])
    assert (picture.width, picture.height) == (viewer.photos[0].picture.width, viewer.photos[0].picture.height)
    assert picture.data != viewer.photos[0].picture.data


def test_first_pictures_are_two_photos_without_a_slider(reader):
    (block,) = first_pictures(reader)
    assert len(block.photos) == 2
    assert not block.counts


def test_first_pictures_of_classes_say_what_is_predicted(tmp_path, settings, rng):
    dataset = classification_dataset(tmp_path / "raw", 12, rng, ["a", "b"])
    write_data(tmp_path, "cells_demo", dataset)
    paths = Paths(tmp_path, "cells_demo")
    paths.evaluate.mkdir(parents=True)
    dataset.predictions.to_parquet(paths.evaluate / "oof_postprocessed.parquet")
    write_cache(dataset.images, dataset.raw, paths.augmented / "cache", 40)
    (block,) = first_pictures(Reader(settings("cells_demo"), paths))
    assert isinstance(block, Pictures)
    assert len(block.pictures) == 6
    best = dataset.predictions[["p_a", "p_b"]].max(axis=1).max()
    assert f"{best:.2f}" in block.pictures[0].caption


@pytest.mark.parametrize(
    "name",
    ["reports/smear_demo/evaluate/oof_postprocessed.parquet", "data/augmented/smear_demo/cache/cache.json"],
)
def test_without_predictions_or_images_there_are_no_photos(reader, name):
    (reader.paths.root / name).unlink()
    assert photo_viewer(reader) == []
    assert first_pictures(reader) == []


def test_thresholds_may_be_missing(reader):
    (reader.paths.evaluate / "thresholds.json").write_text(json.dumps({}))
    (viewer,) = photo_viewer(reader)
    assert viewer.thresholds == [0.5, 0.5]
