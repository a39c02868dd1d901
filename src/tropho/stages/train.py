"""Train: one model a fold and member of the ensemble, resumable, with its history and its run on MLflow."""

import json
import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from safetensors.torch import save

from tropho.config.load import member_settings
from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import TaskData, read_task_data
from tropho.errors import UsageError
from tropho.files import atomic_folder, copy_file, fingerprint, sha256_of, without_nan, write_json, write_text
from tropho.inference.ensemble_members import CONFIG
from tropho.inference.trained_folds import (
    FILES,
    HISTORY,
    copy_results,
    locked_runs,
    publish_fold,
    published_fold,
    write_fold,
)
from tropho.log import info
from tropho.paths import Paths
from tropho.tables import write_table
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.tracking import Run, open_tracker, tracked_parameters
from tropho.tracking.runs import RunIds
from tropho.training.checkpoint import Checkpoint
from tropho.training.devices import make_accelerator, this_process
from tropho.training.fingerprint import fitted_settings, training_fingerprint, tuned
from tropho.training.loop import Trainer


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Train the folds and members that the settings ask for into models/T; returns what run.json says.

    Folds that runs/T holds, trained on the same data by the same settings and code, are taken from there.
    """
    paths = Paths(root, settings.name)
    inputs = read_task_data(paths)
    models = [_model(name, own, inputs, paths) for name, own in member_settings(tuned(settings, paths)).items()]
    _check_machine(models)
    processes = this_process()
    with locked_runs(model.folder for model in models) if processes.is_main_process else nullcontext():
        processes.wait_for_everyone()
        models = [replace(model, published=model.read_published()) for model in models]
        summary = _train_models(models, settings, paths)
        processes.wait_for_everyone()
    return summary


def _train_models(models: "list[_Model]", settings: TaskConfig, paths: Paths) -> dict[str, Any]:
    """Train what is not published yet, in one tracked run, and lay models/T; returns what run.json says."""
    base, *others = models
    training = fingerprint([model.fingerprint for model in models]) if others else base.fingerprint
    numbers = fold_numbers(base.settings, base.inputs)
    # Kept when all is done: a training that is asked for again is the same run.
    record = RunIds(paths.runs / training / f"mlflow-{len(numbers)}.json")
    with open_tracker(paths.root).run(
        f"train {settings.name}", experiment=settings.name, run_id=record["parent"], tags={"stage": "train"}
    ) as parent:
        record["parent"] = parent.id
        parent.log_params({**tracked_parameters(base.settings), **_changes(settings)})
        entries = {base.name: _train(base, parent, record)}
        for other in others:
            entries[other.name] = _train_other(other, parent, record)
        folds = entries[base.name]["folds"]
        parent.log_metrics({"score": mean_score(folds), "seconds": sum(fold["seconds"] for fold in folds)})
        if new := sum(len(fold_numbers(each.settings, each.inputs)) - len(each.published) for each in models):
            parent.log_metrics({"trained_folds": new})
        parent.set_tags({"score_name": base.task.score_name, "validated_on": _validated_on(folds, paths)})
        summary = _summary(base, training, parent.id, entries)
        if this_process().is_main_process:
            _lay(models, entries, paths, summary)
            _write_curves(paths, [fold["fold"] for fold in folds])
            copy_results(paths, {"run.json": paths.models / "run.json"})
    return summary


def _check_machine(models: "list[_Model]") -> None:
    """Raise UsageError, before any work, where this machine or its processes can't train one of the models."""
    count = this_process().num_processes
    for model in models:
        train = model.settings.train
        make_accelerator(train)
        if train.batch_size % count:
            raise UsageError(
                f"train.batch_size {train.batch_size} of {model.name} can't be divided among {count} processes; make "
                f"it a multiple of {count}, or start another number of processes."
            )


@dataclass(frozen=True)
class _Model:
    """One model of the ensemble, its folder of runs/, and the records of those folds that are trained already."""

    name: str
    settings: TaskConfig
    inputs: TaskData
    fingerprint: str
    folder: Path
    published: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return build_task(self.settings, self.inputs.classes)

    def read_published(self) -> dict[int, dict[str, Any]]:
        """Read the records of the trained folds, by number."""
        log_layers = self.settings.train.log_layer_stats
        records = {number: published_fold(self.folder / f"fold{number}", log_layers) for number in self.inputs.folds}
        return {number: record for number, record in records.items() if record is not None}


def _model(name: str, settings: TaskConfig, inputs: TaskData, paths: Paths) -> _Model:
    inputs = inputs.at(settings.augment.image_size)
    settings = fitted_settings(settings, inputs)
    key = training_fingerprint(settings, inputs)
    return _Model(name, settings, inputs, key, paths.runs / key)


def _train(model: _Model, run: Run, record: RunIds) -> dict[str, Any]:
    """Train a model's missing folds; returns its entry in run.json."""
    folds = []
    for number in fold_numbers(model.settings, model.inputs):
        if number in model.published:
            info(f"{_place(model, number)}  taken from {model.folder}: neither data, settings nor code have changed")
            Checkpoint(model.folder / f"fold{number}").remove()  # of a training killed right before that
        folds.append(model.published.get(number) or _train_fold(model, number, run, record))
    parameters = sum(parameter.numel() for parameter in model.task.model().parameters())
    return {"fingerprint": model.fingerprint, "parameters": parameters, "folds": folds}


def _train_other(model: _Model, parent: Run, record: RunIds) -> dict[str, Any]:
    """The same in a run of its own, unless there is nothing to train and no run to finish."""
    if record[model.name] is None and set(fold_numbers(model.settings, model.inputs)) <= set(model.published):
        return _train(model, parent, record)
    name = f"{model.settings.name} {model.name}"
    with parent.child(name, run_id=record[model.name], tags={"stage": "member", "member": model.name}) as tracked:
        record[model.name] = tracked.id
        tracked.log_params(tracked_parameters(model.settings))
        entry = _train(model, tracked, record)
        tracked.log_metrics({"score": mean_score(entry["folds"])})
    return entry


def mean_score(folds: list[dict[str, Any]]) -> float | None:
    """The mean of the folds' scores that are defined; None where none is."""
    scores = [fold["score"] for fold in folds if fold["score"] is not None]
    return float(sum(scores) / len(scores)) if scores else None


def _validated_on(folds: list[dict[str, Any]], paths: Paths) -> str:
    """Hash the labels and the folds that a score is of; scores of equal hashes compare, whatever the image size."""
    files = [paths.audit / "images.csv", paths.audit / "boxes.csv", paths.splits]
    return fingerprint([*map(sha256_of, files), sorted(fold["fold"] for fold in folds)])


def _changes(settings: TaskConfig) -> dict[str, Any]:
    """What each member changes, as parameters of the run that holds them all."""
    return {f"train.ensemble.{name}": json.dumps(changes) for name, changes in settings.train.ensemble.items()}


def fold_numbers(settings: TaskConfig, inputs: TaskData) -> list[int]:
    """The folds to train: the first `train.n_folds` of those that exist, or all."""
    numbers = sorted(inputs.folds)
    wanted = settings.train.n_folds or len(numbers)
    if wanted > len(numbers):
        raise UsageError(
            f"train.n_folds is {wanted}, but split.n_folds made only {len(numbers)}; lower it or use null."
        )
    return numbers[:wanted]


def _place(model: _Model, number: int) -> str:
    """Name of a fold's run and folder among those of all members."""
    return f"fold{number}" if model.name == BASE else f"{model.name}/fold{number}"


def _train_fold(model: _Model, number: int, parent: Run, record: RunIds) -> dict[str, Any]:
    """Train one fold, or go on with it, or find it finished; returns its entry in run.json."""
    settings, inputs, task = model.settings, model.inputs, model.task
    name, folder = _place(model, number), model.folder / f"fold{number}"
    checkpoint, is_main = Checkpoint(folder), this_process().is_main_process
    with parent.child(f"{settings.name} {name}", run_id=record[name], tags={"stage": "fold"}) as tracked:
        record[name] = tracked.id
        tracked.log_params({"fold": number, **tracked_parameters(settings)})

        def on_epoch(row: dict[str, float]) -> None:
            tracked.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
            if is_main:
                info(_epoch_line(name, row, settings.train.epochs))

        trained = Trainer(
            task,
            inputs.pack,
            *inputs.fold(number),
            seed=settings.train.seed + number,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
            name=name,
        ).fit()
        state = trained.state
        entry = {
            "fold": number,
            "run_id": tracked.id,
            "score": without_nan(state.best_score),
            "best_epoch": state.best_epoch,
            "epochs": len(state.history),
            "seconds": state.seconds,
        }
        if is_main:
            weights = save({name: value.contiguous() for name, value in trained.weights.items()})
            write_fold(folder, weights, pd.DataFrame(state.history).astype({"epoch": int}))
            tracked.log_artifact(folder / HISTORY)
        tracked.log_metrics({"best_score": state.best_score})
    if is_main:  # once the tracked run is whole, so that a kill before leaves both to be finished
        entry = publish_fold(folder, entry)
        checkpoint.remove()
    if math.isnan(state.best_score):
        info(
            f"{name}  its {task.score_name} is undefined, since its validation images show nothing to find; the last "
            f"epoch, {state.best_epoch}, is kept, and means over folds leave this fold out"
        )
    return entry


def _epoch_line(fold: str, row: dict[str, float], epochs: int) -> str:
    told = "undefined" if math.isnan(row.get("score", 0.0)) else f"{row.get('score', 0.0):.4f}"
    score = f"  score {told}" if "score" in row else ""
    return f"{fold}  epoch {int(row['epoch'])}/{epochs}  loss {row['loss']:.4f}{score}  {row['seconds']:.0f} s"


def _summary(base: _Model, training: str, run_id: str | None, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "task": base.settings.name,
        "run_id": run_id,
        "training": training,
        "classes": base.inputs.classes,
        "data_hash": base.inputs.data_hash,
        "score_name": base.task.score_name,
        "device": str(this_process().device),
        "processes": this_process().num_processes,
        **_by_member(entries),
    }


def _by_member(entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The entry of the task's own model, and those of the others as "members"."""
    return {**entries[BASE], "members": {name: entry for name, entry in entries.items() if name != BASE}}


def _lay(models: list[_Model], entries: dict[str, dict[str, Any]], paths: Paths, summary: dict[str, Any]) -> None:
    """Lay models/T, whole, from copies of what runs/T holds."""
    with atomic_folder(paths.models) as folder:
        for model in models:
            config = {
                "settings": model.settings.model_dump(),
                "classes": model.inputs.classes,
                "decoding": model.inputs.decoding.record(),
            }
            write_text(model.folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
            entries[model.name]["config_sha256"] = sha256_of(model.folder / CONFIG)
            for number in (fold["fold"] for fold in entries[model.name]["folds"]):
                new = folder / paths.fold(number, model.name).relative_to(paths.models)
                new.mkdir(parents=True)
                copy_file(model.folder / CONFIG, new / CONFIG)
                for file in FILES:
                    copy_file(model.folder / f"fold{number}" / file, new / file)
        summary |= _by_member(entries)
        write_json(folder / "run.json", summary)


def _write_curves(paths: Paths, folds: list[int]) -> None:
    """Write curves/T.csv for `dvc plots`: score and loss of the task's own model, means over its folds by epoch."""
    history = pd.concat([pd.read_csv(paths.fold(number) / HISTORY) for number in folds])
    scored = history.reindex(columns=["epoch", "score", "loss", "lr"]).dropna(subset="score")
    write_table(scored.groupby("epoch", as_index=False).mean(), paths.curves)
