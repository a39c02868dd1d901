"""Trials of settings of model and train on the first fold, by the score that training maximises."""

import random
from pathlib import Path
from typing import Any

from tropho.config import with_overrides
from tropho.errors import UsageError
from tropho.files import fingerprint
from tropho.settings import TaskSettings
from tropho.stages.inputs import Inputs, check_trainable, fitted_settings, read_inputs, training_fingerprint
from tropho.stages.paths import Paths
from tropho.tasks import build_task
from tropho.tracking import Run, open_tracker
from tropho.training.fit import fit, this_process
from tropho.training.search import Report, Search


def search(settings: TaskSettings, paths: Paths, folder: Path) -> dict[str, Any]:
    """The choice of settings by dotted key; the trials and their figures go into `folder`."""
    if this_process().num_processes > 1:
        raise UsageError("tune runs in one process; start several with a shared tune.storage to search in parallel.")
    inputs = read_inputs(paths)
    check_trainable(settings, inputs)
    base = with_overrides(settings, {"train.epochs": settings.tune.epochs})
    space = fingerprint([settings.tune.space, settings.tune.epochs, settings.tune.images, settings.tune.seed])
    study_name = f"{settings.name}-{training_fingerprint(base, inputs)}-{space}"
    trials = Search(base, study_name, paths.root)
    tracker = open_tracker(paths.root)
    tags = {"stage": "tune"}
    with tracker.run(f"tune {settings.name}", settings.name, run_id=trials.run_id, tags=tags) as parent:
        trials.run_id = parent.id
        parent.log_params({"trials": settings.tune.trials, "epochs": settings.tune.epochs})
        choice = trials.run(lambda trial, report: _trial(trial, report, inputs, parent))
        trials.write(folder)
        parent.log_params({f"chosen/{key}": value for key, value in choice.items()})
        parent.log_metrics({"best_score": trials.choice["value"]})
        parent.log_artifact(folder, "search")
    return choice


def _trial(settings: TaskSettings, report: Report, inputs: Inputs, parent: Run) -> float:
    """Train the first fold with a trial's settings; returns its best score."""
    number = min(inputs.folds)
    with parent.child(f"trial {report.number}", tags={"stage": "trial"}) as tracked:
        tracked.log_params(report.parameters)

        def on_epoch(row: dict[str, float]) -> None:
            step = int(row["epoch"])
            tracked.log_metrics({name: value for name, value in row.items() if name != "epoch"}, step)
            if "score" in row:
                report(step, row["score"])

        task = build_task(fitted_settings(settings, inputs), inputs.classes)
        train, val = inputs.fold(number)
        train = train.of(_drawn(list(train.images["image_id"]), settings))
        fitted = fit(task, inputs.pack, train, val, settings.train.seed, on_epoch=on_epoch)
        return fitted.progress.best_score


def _drawn(image_ids: list[str], settings: TaskSettings) -> list[str]:
    """The images that every trial trains on."""
    count = min(settings.tune.images or len(image_ids), len(image_ids))
    return random.Random(settings.tune.seed).sample(image_ids, count)  # noqa: S311 - nothing secret
