"""Intervals of the leaderboard's metric: weights equal repeated images, whole groups are drawn."""

import numpy as np
import pandas as pd
import pytest

from tropho.metrics.leaderboard_map import leaderboard_intervals, leaderboard_map, rank_images
from tropho.tables import BOX, BOXES, DETECTIONS, conform, empty


def world(rng: np.random.Generator, count: int = 24):
    ids = [f"im{number:02d}" for number in range(count)]
    boxes, found = [], []
    for number, image_id in enumerate(ids):
        if number % 3:
            box = [10.0, 10.0, 30.0, 30.0]
            boxes.append([image_id, "WBC", *box])
            found.append([image_id, "WBC", rng.uniform(), *(box if number % 4 else [50.0, 50.0, 60.0, 60.0])])
        found.append([image_id, "NEG", rng.uniform(), 0.0, 0.0, 0.0, 0.0])
    truth = conform(pd.DataFrame(boxes, columns=list(BOXES)[:-1]), BOXES)
    return ids, truth, conform(pd.DataFrame(found, columns=list(DETECTIONS)), DETECTIONS)


def test_the_value_is_the_leaderboards_and_the_interval_holds_it(rng):
    ids, truth, found = world(rng)
    groups = pd.Series([f"g{number // 2}" for number in range(24)], index=ids)
    table = leaderboard_intervals(rank_images(ids, truth, found, "NEG"), groups, "leaderboard_map", draws=200)
    empty = [each for each in ids if each not in set(truth["image_id"])]
    marks = pd.DataFrame({"image_id": empty, "label": "NEG", **dict.fromkeys(BOX, 0.0)})
    expected = leaderboard_map(pd.concat([truth, marks]), found)
    assert table.loc["leaderboard_map", "value"] == pytest.approx(expected["score"], abs=1e-12)
    assert table.loc["ap/WBC", "value"] == pytest.approx(expected["ap"]["WBC"], abs=1e-12)
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()


def test_blocks_do_not_change_the_draws(rng, monkeypatch):
    ids, truth, found = world(rng)
    groups = pd.Series(ids, index=ids)
    ranking = rank_images(ids, truth, found, "NEG")
    whole = leaderboard_intervals(ranking, groups, "score", draws=50)
    monkeypatch.setattr("tropho.metrics.bootstrap.MAX_WEIGHTS", 100)
    pd.testing.assert_frame_equal(leaderboard_intervals(ranking, groups, "score", draws=50), whole)


def test_without_a_negative_class_the_marks_of_images_are_no_class(rng):
    ids, truth, found = world(rng)
    ranking = rank_images(ids, truth, found[found["label"] == "WBC"], None)
    assert list(ranking.classes) == ["WBC"]
    assert ranking.image_ids == ids


def test_without_any_box_everything_is_undefined():
    ids, truth, found = ["a", "b"], empty(BOXES), pd.DataFrame(columns=DETECTIONS)
    ranking = rank_images(ids, truth, conform(found, DETECTIONS), None)
    assert ranking.classes == {}
