"""Train: one model a fold and ensemble member, resumable, tracked on MLflow."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save

from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import read_task_data
from tropho.files import atomic_folder, copy_file, fingerprint, sha256_of, without_nan, write_json, write_text
from tropho.inference.trained_folds import (
    CONFIG,
    FILES,
    HISTORY,
    config_text,
    copy_results,
    locked_runs,
    mean_history,
    publish_fold,
    write_fold,
)
from tropho.log import info
from tropho.metrics.metric_names import metric_name
from tropho.models.device_limits import resolve_precision
from tropho.paths import Paths
from tropho.tables import write_table
from tropho.tracking import Run, open_tracker, tracked_parameters
from tropho.tracking.describe_run import data_sets, mean_score, training_note
from tropho.tracking.run_names import with_score
from tropho.tracking.runs import RunIds
from tropho.training.checkpoint import Checkpoint, TrainState
from tropho.training.devices import this_process
from tropho.training.loop import Trainer
from tropho.training.preflight import RECORD, check_before_training
from tropho.training.step_log import log_epoch
from tropho.training.training_plan import PlannedModel, check_machine, plan_models


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Train the folds and members that the settings ask for into models/T, in one tracked run.

    Folds that runs/T holds, trained on the same data by the same settings and code, are taken from there.

    Returns: content of run.json.
    """
    paths, processes = Paths(root, settings.name), this_process()
    models = plan_models(settings, read_task_data(paths), paths)
    check_machine(models)
    with locked_runs(model.folder for model in models) if processes.is_main_process else nullcontext():
        processes.wait_for_everyone()
        models = [replace(model, published=model.read_published()) for model in models]
        check_before_training(models, paths.raw)
        training = fingerprint([model.fingerprint for model in models]) if models[1:] else models[0].fingerprint
        run_ids = RunIds(paths.runs / training / f"mlflow-{len(models[0].folds)}.json")  # kept: it stays one run
        with open_tracker(root).run(
            f"train {settings.name}", settings.name, run_id=run_ids["parent"], tags={"stage": "train"}
        ) as parent:
            run_ids["parent"] = parent.id
            _log_plan(models, settings, parent)
            records: dict[str, dict[str, Any]] = {}
            for model in models:
                with _run_of(model, parent, run_ids) as tracked:
                    folds = [_train_fold(model, fold, tracked, run_ids) for fold in model.folds]
                    if tracked is not parent:
                        tracked.log_metrics({"score": (score := mean_score(folds))})
                        tracked.rename(with_score(model.name, score))
                parameters = sum(weights.numel() for weights in model.task.build_model().parameters())
                records[model.name] = {"fingerprint": model.fingerprint, "parameters": parameters, "folds": folds}
            summary = _summary(models[0], training, parent.id, records)
            _log_results(models, summary, paths, parent)
            parent.name_trainings(settings.description)
            if processes.is_main_process:
                _write_models(models, records, paths, summary)
        processes.wait_for_everyone()
    return summary


def _log_plan(models: list[PlannedModel], settings: TaskConfig, run: Run) -> None:
    """Log settings, data sets and checks to the run of all models."""
    base = models[0]
    changes = {f"train.ensemble.{name}": json.dumps(keys) for name, keys in settings.train.ensemble.items()}
    run.log_params({**tracked_parameters(base.settings), **changes})
    for data_set in data_sets(settings.name, base.data):
        run.log_data_set(data_set)
    for checked in (model for model in models if (model.folder / RECORD).exists()):
        run.log_artifact(checked.folder / RECORD, f"preflight/{checked.name}")


def _log_results(models: list[PlannedModel], summary: dict[str, Any], paths: Paths, run: Run) -> None:
    """Log what came of a training, whose run.json is `summary`, to the run of all models."""
    folds, name = summary["folds"], summary["score_name"]
    run.log_metrics({"score": mean_score(folds), "seconds": sum(fold["seconds"] for fold in folds)})
    if trained := sum(len(model.folds) - len(model.published) for model in models):
        run.log_metrics({"trained_folds": trained})
    # Scores of equal labels and folds compare, whatever the image size.
    files = [paths.audit / "images.csv", paths.audit / "boxes.csv", paths.splits]
    validated_on = fingerprint([*map(sha256_of, files), sorted(fold["fold"] for fold in folds)])
    run.set_tags({"score_name": name, "validated_on": validated_on, "dvc_experiment": summary["dvc_experiment"]})
    run.write_note(training_note(models[0].settings, summary, name))


@contextmanager
def _run_of(model: PlannedModel, parent: Run, run_ids: RunIds) -> Iterator[Run]:
    """Open a further member's own run, unless all is published and there is none to go on with; else use the parent."""
    if model.name == BASE or (run_ids[model.name] is None and set(model.folds) <= set(model.published)):
        yield parent
        return
    tags = {"stage": "member", "member": model.name}
    with parent.child(model.name, run_id=run_ids[model.name], tags=tags) as tracked:
        run_ids[model.name] = tracked.id
        tracked.log_params(tracked_parameters(model.settings))
        yield tracked


def _train_fold(model: PlannedModel, fold: int, parent: Run, run_ids: RunIds) -> dict[str, Any]:
    """Train one fold, from its checkpoint if there is one, unless it is published; return its record of run.json."""
    settings, task, is_main = model.settings, model.task, this_process().is_main_process
    name = f"fold{fold}" if model.name == BASE else f"{model.name}/fold{fold}"
    folder = model.folder / f"fold{fold}"
    checkpoint = Checkpoint(folder)
    if fold in model.published:
        info(f"{name}  taken from {model.folder}: neither data, settings nor code have changed")
        checkpoint.remove()  # of a training killed right before that
        return model.published[fold]
    with parent.child(name, run_id=run_ids[name], tags={"stage": "fold"}) as tracked:
        run_ids[name] = tracked.id
        start = {"start_sha256": model.start.sha256} if model.start else {}
        tracked.log_params({"fold": fold, **tracked_parameters(settings), **start})
        for data_set in data_sets(settings.name, model.data, fold):
            tracked.log_data_set(data_set)
        trainer = Trainer(
            task,
            model.data.cache,
            *model.data.train_val(fold),
            seed=settings.train.seed + fold,
            checkpoint=checkpoint,
            on_epoch=partial(log_epoch, tracked),
            name=name,
            start=model.start,
        )
        trainer.log.plan(model.folds, fold, settings.train.epochs, model.published)
        with tracked.system_metrics():
            trained = trainer.fit()
        state = trained.state
        record = {"fold": fold, "run_id": tracked.id, **_outcome(state), **start}
        if is_main:
            weights = save({name: value.contiguous() for name, value in trained.weights.items()})
            write_fold(folder, weights, pd.DataFrame(state.history).astype({"epoch": int}))
            tracked.log_artifact(folder / HISTORY)
        tracked.log_metrics({"best_score": state.best_score})
        tracked.rename(with_score(name, without_nan(state.best_score)))
    if is_main:  # once the tracked run is whole, so that a kill before leaves both to be finished
        record = publish_fold(folder, record)
        checkpoint.remove()
    if math.isnan(state.best_score):
        info(
            f"{name}  its {metric_name(task.primary_metric)} is undefined, since its validation images show nothing to "
            f"find; the last epoch, {state.best_epoch}, is kept, and means over folds leave this fold out"
        )
    return record


def _outcome(state: TrainState) -> dict[str, Any]:
    """Say what a training came to, for run.json."""
    return {
        "score": without_nan(state.best_score),
        "best_epoch": state.best_epoch,
        "epochs": len(state.history),
        "seconds": state.seconds,
        "parts_of_a_step": state.n_parts,
    }


def _summary(
    base: PlannedModel, training: str, run_id: str | None, records: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Build the content of run.json."""
    return {
        "task": base.settings.name,
        "run_id": run_id,
        "training": training,
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),  # which `dvc exp run` sets
        "classes": base.data.classes,
        "data_hash": base.data.data_hash,
        "score_name": base.task.primary_metric,
        "device": str(this_process().device),
        "precision": resolve_precision(base.settings.train.precision, this_process().device),
        "processes": this_process().num_processes,
        **records[BASE],
        "members": {name: record for name, record in records.items() if name != BASE},
    }


def _write_models(
    models: list[PlannedModel], records: dict[str, dict[str, Any]], paths: Paths, summary: dict[str, Any]
) -> None:
    """Write models/T from copies of what runs/T holds, and its curves; add the SHA-256 of each config.yaml."""
    with atomic_folder(paths.models) as folder:
        for model in models:
            write_text(model.folder / CONFIG, config_text(model.settings, model.data.classes, model.data.decoding))
            record = summary if model.name == BASE else records[model.name]
            record["config_sha256"] = sha256_of(model.folder / CONFIG)
            for fold in (fold["fold"] for fold in record["folds"]):
                new = folder / paths.fold(fold, model.name).relative_to(paths.models)
                new.mkdir(parents=True)
                copy_file(model.folder / CONFIG, new / CONFIG)
                for file in FILES:
                    copy_file(model.folder / f"fold{fold}" / file, new / file)
        write_json(folder / "run.json", summary)
    write_table(mean_history([paths.fold(fold["fold"]) for fold in summary["folds"]]), paths.curves)
    copy_results(paths, {"run.json": paths.models / "run.json"})
