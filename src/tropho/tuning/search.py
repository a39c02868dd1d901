"""The search of the tune stage: trials are scored on images held out of the first fold's training images."""

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
from tropho.files import fingerprint, without_nan
from tropho.inference.trained_folds import StartWeights, find_start_weights
from tropho.log import info
from tropho.paths import Paths
from tropho.tasks import build_task
from tropho.tracking import Run, open_tracker
from tropho.tracking.describe_run import data_sets
from tropho.tracking.run_names import describe_values, short_value, with_score
from tropho.training.devices import this_process
from tropho.training.loop import Trainer
from tropho.training.step_log import log_epoch
from tropho.training.training_fingerprint import check_trainable, fitted_settings, training_fingerprint
from tropho.training.training_plan import with_batch_size
from tropho.tuning.space import setting_of
from tropho.tuning.study import Search, TrialReporter

MIN_OVER_CHANCE = 1.2
"""Score of a useful trial over that of guessing, which is one over the number of classes."""
N_PARTS = 5
"""Of the first fold's training images, in whole groups; one part scores the trials."""


def tune(settings: TaskConfig, paths: Paths, folder: Path) -> dict[str, Any]:
    """Search over settings; write trials and figures into `folder`.

    Returns:
        The best trial's settings, by dotted key; {} keeps the given ones, since no trial beats guessing.

    Raises:
        UsageError: several processes run this one, or the space or the storage is wrong.
        DataError: no trial is complete, or no images can be held out.
    """
    if this_process().num_processes > 1:
        raise UsageError("tune runs in one process; start several with a shared tune.storage to search in parallel.")
    base = with_overrides(settings, {"train.epochs": settings.tune.epochs, "train.n_folds": 1})
    data = search_inputs(read_task_data(paths), settings.train.seed)
    data = data.with_empty_fraction(settings.train.empty_fraction, settings.train.seed)
    check_trainable(base, data)
    train_ids, val_ids = (list(gt.images["image_id"]) for gt in data.train_val(0))
    train_ids = _sample_images(train_ids, settings)
    space = fingerprint([settings.tune.space, settings.tune.epochs, train_ids, val_ids, settings.train.seed])
    start = find_start_weights(base.model.weights, paths.root)
    search = Search(base, f"{settings.name}-{training_fingerprint(base, data, start)}-{space}", paths.root)
    tracker, tags = open_tracker(paths.root), {"stage": "tune"}
    with tracker.run(f"tune {settings.name}", settings.name, run_id=search.run_id, tags=tags) as parent:
        search.run_id = parent.id
        n_images = {"train": len(train_ids), "judge": len(val_ids)}
        for data_set in data_sets(settings.name, data, 0):
            parent.log_data_set(data_set)
        parent.log_params({"trials": settings.tune.trials, "epochs": settings.tune.epochs, "images": n_images})
        params = search.run(lambda trial, reporter: _train_trial(trial, reporter, data, train_ids, parent, start))
        search.write(folder, n_images)
        best = search.choice["value"]
        params = _settings_to_use(base, params, best, len(data.classes))
        parent.log_params({f"chosen/{key}": value for key, value in params.items()})
        parent.log_metrics({"score": best, "best_score": best})
        parent.rename(with_score(f"tune {settings.name}: {describe_values(params) or 'given settings'}", best))
        parent.log_artifact(folder, "search")
    return params


def _settings_to_use(given: TaskConfig, params: dict[str, Any], score: float | None, n_classes: int) -> dict[str, Any]:
    """Take the best trial's settings unless a classification hardly beats guessing; say what happens to given ones.

    Args:
        given: settings of the task.
        params: of the best trial, by dotted key.
        score: of the best trial; None if it is undefined.
        n_classes: number of classes.

    Returns:
        `params`, or {} to keep the given settings.
    """
    if given.kind == "classification" and score is not None and score < MIN_OVER_CHANCE / n_classes:
        info(
            f"The best trial scores {score:.3f}, where guessing scores {1 / n_classes:.3f}: its settings are no better "
            f"than others, so the given ones are kept; raise tune.epochs ({given.tune.epochs}) or "
            "tune.max_train_images."
        )
        return {}
    used = with_overrides(given, params)
    for key in params:
        before, after = setting_of(given, key), setting_of(used, key)
        if after != before:
            info(
                f"{key} is {short_value(before)} in params.yaml, but tune.space searches it: {short_value(after)} is "
                "used; set tune.trials: 0 to use yours."
            )
    return params


def search_inputs(data: TaskData, seed: int) -> TaskData:
    """Divide the first fold's training images in two, so that its validation images choose nothing.

    Args:
        data: data and folds.
        seed: of the division.

    Returns:
        The same data; fold 0 holds the images that score trials, about a fifth in whole groups, fold 1 the others.

    Raises:
        DataError: the images are all of one group.
    """
    gt = data.train_val(min(data.folds))[0]
    images, groups = gt.images, gt.images["group"]
    n_parts = min(N_PARTS, groups.nunique())
    if n_parts < 2:
        raise DataError(
            "The first fold's training images are all of one group, so that none can be held out to judge a search; "
            "set tune.trials to 0, or let audit.group_pattern tell more groups apart."
        )
    part = assign_folds(groups, stratification_targets(images, gt.boxes, n_parts), n_parts, seed)  # (n_images,)
    # A large group makes a part too large: take the part whose size is closest to an equal share.
    is_val = part == np.abs(np.bincount(part, minlength=n_parts) - len(images) / n_parts).argmin()
    ids = images["image_id"]
    return replace(data, folds={0: list(ids[is_val]), 1: list(ids[~is_val])})


def _train_trial(
    settings: TaskConfig,
    reporter: TrialReporter,
    data: TaskData,
    train_ids: list[str],
    parent: Run,
    start: StartWeights | None = None,
) -> float:
    """Train with a trial's settings; return the best validation score."""
    name = f"trial {reporter.number}"
    with parent.child(name, tags={"stage": "trial"}) as run:
        run.log_params(reporter.parameters)

        def on_epoch(row: dict[str, float]) -> None:
            log_epoch(run, row)
            if "score" in row:
                reporter(int(row["epoch"]), row["score"])

        task = build_task(with_batch_size(fitted_settings(settings, data), data), data.classes)
        train_gt, val_gt = data.train_val(0)
        train_gt, seed = train_gt.subset(train_ids), settings.train.seed
        trainer = Trainer(task, data.cache, train_gt, val_gt, seed, on_epoch=on_epoch, start=start)
        with run.system_metrics():
            score = trainer.fit().state.best_score
        run.rename(with_score(f"{name}: {describe_values(reporter.parameters)}", without_nan(score)))
        return score


def _sample_images(image_ids: list[str], settings: TaskConfig) -> list[str]:
    """Draw the images that every trial trains on."""
    n_images = min(settings.tune.max_train_images or len(image_ids), len(image_ids))
    return random.Random(settings.train.seed).sample(image_ids, n_images)  # noqa: S311 - nothing secret
