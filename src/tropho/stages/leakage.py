"""What judged images share with those that a model was trained on, and what that adds to a score."""

from collections.abc import Collection
from typing import Any

import pandas as pd
from accelerate import Accelerator

from tropho.settings import RANDOM, TaskSettings
from tropho.stages.judging import rows_of
from tropho.stages.members import Member, load_entry
from tropho.stages.paths import Paths
from tropho.stages.random_fold import dealt_at_random
from tropho.tasks.base import Task, Truth


def shared_with(images: pd.DataFrame, judged: Collection[str], train: Collection[str]) -> list[str]:
    """The judged images whose group or duplicate is among the training images, in the order of `images`.

    Args:
        images: columns of tables.IMAGES.
        judged: image ids that are scored.
        train: image ids that were trained on.
    """
    mine, theirs = (images[images["image_id"].isin(ids)] for ids in (judged, train))
    known = [
        mine[column].isin(set(theirs[column].dropna())) & mine[column].notna() for column in ("group", "duplicate")
    ]
    return list(mine.loc[known[0] | known[1], "image_id"])


def compare_random(
    base: Member,
    oof: pd.DataFrame,
    entry: dict[str, Any],
    settings: TaskSettings,
    paths: Paths,
    accelerator: Accelerator,
) -> dict[str, float]:
    """The scores of the random fold's model and of the first grouped fold's, each on its own validation images.

    Nothing is learned from the predictions beforehand.

    Args:
        base: the task's own model.
        oof: its raw out-of-fold predictions.
        entry: of the random fold's model, in run.json.
        settings: the present ones.
        paths: of the task.
        accelerator: what predicts.

    Returns:
        "score" and "grouped", each with the ends of its 95 % interval, "_low" and "_high"; "flatters", their
        difference; "images" of the random fold, and how many of them are "seen": share a group or duplicate with its
        training images.
    """
    folds = load_entry(RANDOM, entry, settings, paths)
    task = folds[0].task
    inputs = dealt_at_random(base.inputs, task, task.settings.train.seed)
    train, validation = inputs.fold(0)
    grouped = base.inputs.fold(min(base.folds))[1]
    predictions = Member(RANDOM, folds, inputs).predict(0, validation, accelerator)
    score = _scored("score", task, validation, predictions)
    against = _scored("grouped", base.task, grouped, rows_of(grouped, oof))
    judged, trained = (list(each.images["image_id"]) for each in (validation, train))
    seen = len(shared_with(inputs.truth.images, judged, trained))
    flatters = score["score"] - against["grouped"]
    return {**score, **against, "flatters": flatters, "images": len(judged), "seen": seen}


def _scored(name: str, task: Task, truth: Truth, predictions: pd.DataFrame) -> dict[str, float]:
    finished = task.finish(predictions, ignored=truth.ignored)
    metrics = task.tables(truth, finished, task.thresholds(truth, finished))["metrics"].set_index("metric")
    value, low, high = metrics.loc[task.score_name, ["value", "low", "high"]].to_numpy(float)
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
