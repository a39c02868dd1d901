"""Trials of settings of model and train, judged by images held out of the first fold's training images."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.data.split.folds import assign_folds, stratification_targets
from tropho.data.task_data import TaskData, read_task_data
from tropho.errors import DataError, UsageError
from tropho.files import fingerprint
from tropho.paths import Paths
from tropho.tasks import build_task
from tropho.tracking import Run, open_tracker
from tropho.training.fingerprint import check_trainable, fitted_settings, training_fingerprint
from tropho.training.trainer import fit, this_process
from tropho.tuning import Search, TrialReporter

PARTS = 5
"""Of the first fold's training images, whole groups each; one judges the trials."""


def search(settings: TaskConfig, paths: Paths, folder: Path) -> dict[str, Any]:
    """The choice of settings by dotted key; the trials and their figures go into `folder`."""
    if this_process().num_processes > 1:
        raise UsageError("tune runs in one process; start several with a shared tune.storage to search in parallel.")
    base = with_overrides(settings, {"train.epochs": settings.tune.epochs, "train.n_folds": 1})
    inputs = search_inputs(read_task_data(paths), settings.train.seed)
    check_trainable(base, inputs)
    train, judged = (list(truth.images["image_id"]) for truth in inputs.fold(0))
    drawn = _drawn(train, settings)
    space = fingerprint([settings.tune.space, settings.tune.epochs, drawn, judged, settings.train.seed])
    study_name = f"{settings.name}-{training_fingerprint(base, inputs)}-{space}"
    trials = Search(base, study_name, paths.root)
    tracker = open_tracker(paths.root)
    tags = {"stage": "tune"}
    with tracker.run(f"tune {settings.name}", settings.name, run_id=trials.run_id, tags=tags) as parent:
        trials.run_id = parent.id
        images = {"train": len(drawn), "judge": len(judged)}
        parent.log_params({"trials": settings.tune.trials, "epochs": settings.tune.epochs, "images": images})
        choice = trials.run(lambda trial, report: _trial(trial, report, inputs, drawn, parent))
        trials.write(folder, images)
        parent.log_params({f"chosen/{key}": value for key, value in choice.items()})
        parent.log_metrics({"best_score": trials.choice["value"]})
        parent.log_artifact(folder, "search")
    return choice


def search_inputs(inputs: TaskData, seed: int) -> TaskData:
    """Divide the first fold's training images in two, so that images which are validated later choose nothing.

    Args:
        inputs: data and folds.
        seed: of the division.

    Returns:
        The same data; fold 0 holds the images that judge, about a fifth in whole groups, and fold 1 those that train.

    Raises:
        DataError: the images are all of one group.
    """
    truth = inputs.fold(min(inputs.folds))[0]
    images, groups = truth.images, truth.images["group"]
    parts = min(PARTS, groups.nunique())
    if parts < 2:
        raise DataError(
            "The first fold's training images are all of one group, so that none can be held out to judge a search; "
            "set tune.trials to 0, or let audit.group_pattern tell more groups apart."
        )
    part = assign_folds(groups, stratification_targets(images, truth.boxes, parts), parts, seed)
    # A group larger than a part makes its part too large: the one nearest to its due size judges.
    judge = part == np.abs(np.bincount(part, minlength=parts) - len(images) / parts).argmin()
    ids = images["image_id"]
    return replace(inputs, folds={0: list(ids[judge]), 1: list(ids[~judge])})


def _trial(settings: TaskConfig, report: TrialReporter, inputs: TaskData, drawn: list[str], parent: Run) -> float:
    """Train on the images `drawn` with a trial's settings; returns the best score on those that judge."""
    with parent.child(f"trial {report.number}", tags={"stage": "trial"}) as tracked:
        tracked.log_params(report.parameters)

        def on_epoch(row: dict[str, float]) -> None:
            step = int(row["epoch"])
            tracked.log_metrics({name: value for name, value in row.items() if name != "epoch"}, step)
            if "score" in row:
                report(step, row["score"])

        task = build_task(fitted_settings(settings, inputs), inputs.classes)
        train, judged = inputs.fold(0)
        fitted = fit(task, inputs.pack, train.of(drawn), judged, settings.train.seed, on_epoch=on_epoch)
        return fitted.progress.best_score


def _drawn(image_ids: list[str], settings: TaskConfig) -> list[str]:
    """The images that every trial trains on."""
    count = min(settings.tune.max_train_images or len(image_ids), len(image_ids))
    return random.Random(settings.train.seed).sample(image_ids, count)  # noqa: S311 - nothing secret
