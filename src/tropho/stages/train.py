"""Train: one model a fold and ensemble member, resumable, tracked on MLflow."""

import json
import math
import os
from contextlib import nullcontext
from dataclasses import replace
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
from tropho.training.training_plan import PlannedModel, check_machine, plan_models


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Train the folds and members that the settings ask for into models/T.

    Folds that runs/T holds, trained on the same data by the same settings and code, are taken from there.

    Returns: content of run.json.
    """
    paths = Paths(root, settings.name)
    data = read_task_data(paths)
    models = plan_models(settings, data, paths)
    check_machine(models)
    processes = this_process()
    with locked_runs(model.folder for model in models) if processes.is_main_process else nullcontext():
        processes.wait_for_everyone()
        models = [replace(model, published=model.read_published()) for model in models]
        check_before_training(models, paths.raw)
        summary = _train_models(models, settings, paths)
        processes.wait_for_everyone()
    return summary


def _train_models(models: list[PlannedModel], settings: TaskConfig, paths: Paths) -> dict[str, Any]:
    """Train what is not published yet, in one tracked run, and write models/T; return the content of run.json."""
    base, *others = models
    training = fingerprint([model.fingerprint for model in models]) if others else base.fingerprint
    run_ids = RunIds(paths.runs / training / f"mlflow-{len(base.folds)}.json")  # kept: the same training is one run
    with open_tracker(paths.root).run(
        f"train {settings.name}", experiment=settings.name, run_id=run_ids["parent"], tags={"stage": "train"}
    ) as parent:
        run_ids["parent"] = parent.id
        changes = {f"train.ensemble.{name}": json.dumps(keys) for name, keys in settings.train.ensemble.items()}
        parent.log_params({**tracked_parameters(base.settings), **changes})
        for data_set in data_sets(settings.name, base.data):
            parent.log_data_set(data_set)
        for checked in (model for model in models if (model.folder / RECORD).exists()):
            parent.log_artifact(checked.folder / RECORD, f"preflight/{checked.name}")
        records = {base.name: _train(base, parent, run_ids)}
        for other in others:
            records[other.name] = _train_other(other, parent, run_ids)
        folds = records[base.name]["folds"]
        score = mean_score(folds)
        parent.log_metrics({"score": score, "seconds": sum(fold["seconds"] for fold in folds)})
        if trained := sum(len(model.folds) - len(model.published) for model in models):
            parent.log_metrics({"trained_folds": trained})
        tags = {"score_name": base.task.primary_metric, "validated_on": _validated_on(folds, paths)}
        parent.set_tags({**tags, "dvc_experiment": os.environ.get("DVC_EXP_NAME")})  # which `dvc exp run` sets
        summary = _summary(base, training, parent.id, records)
        parent.write_note(training_note(base.settings, summary, base.task.primary_metric))
        parent.name_trainings(settings.description)
        if this_process().is_main_process:
            _write_models(models, records, paths, summary)
            write_table(mean_history([paths.fold(each["fold"]) for each in folds]), paths.curves)
            copy_results(paths, {"run.json": paths.models / "run.json"})
    return summary


def _train(model: PlannedModel, tracked: Run, run_ids: RunIds) -> dict[str, Any]:
    """Train a model's missing folds; return its record of run.json."""
    folds = []
    for fold in model.folds:
        if fold in model.published:
            info(f"{_label(model, fold)}  taken from {model.folder}: neither data, settings nor code have changed")
            Checkpoint(model.folder / f"fold{fold}").remove()  # of a training killed right before that
        folds.append(model.published.get(fold) or _train_fold(model, fold, tracked, run_ids))
    parameters = sum(parameter.numel() for parameter in model.task.build_model().parameters())
    return {"fingerprint": model.fingerprint, "parameters": parameters, "folds": folds}


def _train_other(model: PlannedModel, parent: Run, run_ids: RunIds) -> dict[str, Any]:
    """Train a further member, in a run of its own unless all is published and there is none to go on with."""
    if run_ids[model.name] is None and set(model.folds) <= set(model.published):
        return _train(model, parent, run_ids)
    tags = {"stage": "member", "member": model.name}
    with parent.child(model.name, run_id=run_ids[model.name], tags=tags) as tracked:
        run_ids[model.name] = tracked.id
        tracked.log_params(tracked_parameters(model.settings))
        record = _train(model, tracked, run_ids)
        tracked.log_metrics({"score": (score := mean_score(record["folds"]))})
        tracked.rename(with_score(model.name, score))
    return record


def _label(model: PlannedModel, fold: int) -> str:
    """Name a fold among those of all members."""
    return f"fold{fold}" if model.name == BASE else f"{model.name}/fold{fold}"


def _train_fold(model: PlannedModel, fold: int, parent: Run, run_ids: RunIds) -> dict[str, Any]:
    """Train one fold, from its checkpoint if there is one; return its record of run.json."""
    settings, data, task = model.settings, model.data, model.task
    name, folder = _label(model, fold), model.folder / f"fold{fold}"
    checkpoint, is_main = Checkpoint(folder), this_process().is_main_process
    with parent.child(name, run_id=run_ids[name], tags={"stage": "fold"}) as tracked:
        run_ids[name] = tracked.id
        start = {"start_sha256": model.start.sha256} if model.start else {}
        tracked.log_params({"fold": fold, **tracked_parameters(settings), **start})
        for data_set in data_sets(settings.name, data, fold):
            tracked.log_data_set(data_set)

        def on_epoch(row: dict[str, float]) -> None:
            tracked.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))

        trainer = Trainer(
            task,
            data.cache,
            *data.train_val(fold),
            seed=settings.train.seed + fold,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
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


def _validated_on(folds: list[dict[str, Any]], paths: Paths) -> str:
    """Hash the labels and folds that a score is of; scores of equal hashes compare, whatever the image size."""
    files = [paths.audit / "images.csv", paths.audit / "boxes.csv", paths.splits]
    return fingerprint([*map(sha256_of, files), sorted(fold["fold"] for fold in folds)])


def _summary(
    base: PlannedModel, training: str, run_id: str | None, records: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Build the content of run.json."""
    return {
        "task": base.settings.name,
        "run_id": run_id,
        "training": training,
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
    """Write models/T from copies of what runs/T holds; add the SHA-256 of each config.yaml to `summary`."""
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
