"""Sentences of the page that say what was done are there only where a record shows it."""

import json

import numpy as np
import pytest
import yaml

from tropho.paths import Paths
from tropho.stages.report import report

TASK = "cells_demo"


@pytest.fixture
def page(tmp_path, helpers, settings):
    """What the stages leave behind for a task, as a function that renders the page."""
    chosen = settings(TASK, **{"train.lr": 0.0021})
    world = helpers["classification_world"](tmp_path / "raw", 12, np.random.default_rng(0), ["a", "b"])
    helpers["write_data"](tmp_path, TASK, world)
    helpers["write_runs"](tmp_path, TASK, world, json.loads(chosen.model_dump_json()))
    helpers["write_results"](tmp_path, TASK, world, "balanced_accuracy", 0.8)
    paths = Paths(tmp_path, TASK)
    return paths, lambda: report(chosen, paths)


def test_training_used_the_choice_only_if_it_did(page):
    paths, render = page
    assert "What was chosen, and training used" in render()
    paths.choice.write_text(yaml.safe_dump({"train.lr": 0.5}))
    assert "What was chosen; the models were trained with other values" in render()
    for config in paths.models.glob("fold*/config.yaml"):
        config.unlink()
    text = render()
    assert "What was chosen<" in text
    assert "training used" not in text


def test_which_images_chose_is_said_where_it_is_recorded(page):
    paths, render = page
    assert "judged by" not in render()
    (paths.search / "choice.json").write_text(json.dumps({"images": {"train": 640, "judge": 160}}))
    assert "Each trial was trained on 640 images and judged by 160 others of whole groups" in render()


def test_the_rule_of_thresholds_is_the_one_they_were_chosen_by(page):
    paths, render = page
    assert "on out-of-fold predictions." not in render()
    (paths.evaluate / "manifest.json").write_text(json.dumps({"threshold_rule": "a recall of at least 0.9"}))
    assert "By a recall of at least 0.9 on out-of-fold predictions." in render()


def test_why_images_are_kept_out_is_not_guessed(page):
    paths, render = page
    paths.splits.with_suffix(".json").unlink()
    assert "1 training images are kept out." in render()


@pytest.mark.parametrize("checked", [True, False])
def test_a_submission_is_called_checked_if_it_was(page, checked):
    from tropho.files import sha256_of

    paths, render = page
    record = paths.submission.with_suffix(".json")
    content = {**json.loads(record.read_text()), "sha256": sha256_of(paths.submission), "checked": checked}
    record.write_text(json.dumps(content))
    text = render()
    assert ("found no fault in it when it was written" in text) == checked
    assert ("It was not checked" in text) != checked
