"""Train: one model a fold and member of the ensemble, resumable, with its history and its run on MLflow."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from safetensors.torch import save

from tropho.config import member_settings
from tropho.errors import DataError, UsageError
from tropho.files import atomic_folder, atomic_path, fingerprint, read_json, sha256_of, without_nan, write_json
from tropho.progress import say
from tropho.settings import BASE, TaskSettings
from tropho.stages.inputs import Inputs, fitted_settings, read_inputs, training_fingerprint, tuned
from tropho.stages.members import CONFIG, FILES, damaged_files, model_entries
from tropho.stages.paths import Paths
from tropho.tables import GRADIENT, write_table
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.tracking import Run, open_tracker, tracked_parameters
from tropho.tracking.run_ids import RunIds
from tropho.training.checkpoints import Checkpoint, drop_checkpoints
from tropho.training.fit import Fitted, fit, make_accelerator, this_process


def run(settings: TaskSettings, root: Path) -> dict[str, Any]:
    """Train the folds and members that the settings ask for into models/T; returns what run.json says.

    Folds that models/T already holds, trained on the same data by the same settings and code, are kept.
    """
    paths = Paths(root, settings.name)
    inputs = read_inputs(paths)
    models = [_model(name, own, inputs, paths) for name, own in member_settings(tuned(settings, paths)).items()]
    base, *others = models
    _check_machine(models)
    processes = this_process()
    runs = paths.checkpoints / fingerprint([model.fingerprint for model in models])
    record = RunIds(runs / "run.json")
    with open_tracker(root).run(
        f"train {settings.name}",
        settings.name,
        run_id=record["parent"] or _run_of(models, paths),
        tags={"stage": "train"},
    ) as parent:
        record["parent"] = parent.id
        parent.log_params({**tracked_parameters(base.settings), **_changes(settings)})
        entries = {base.name: _train(base, parent, record)}
        for other in others:
            entries[other.name] = _train_other(other, parent, record)
        folds = entries[base.name]["folds"]
        score = mean_score(folds)
        trained = sum(len(fold_numbers(each.settings, inputs)) - len(each.kept) for each in models)
        parent.log_metrics(
            {"score": score, "seconds": sum(fold["seconds"] for fold in folds), "trained_folds": trained}
        )
        parent.set_tags({"score_name": base.task.score_name, "validated_on": _validated_on(folds, paths)})
        summary = _summary(base, parent.id, entries)
        if processes.is_main_process:
            _deliver(models, entries, paths, summary)
    processes.wait_for_everyone()
    if processes.is_main_process:
        drop_checkpoints(paths.checkpoints, [runs, *(model.work for model in models)])
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
    """One model of the ensemble, and which of its folds models/T already holds."""

    name: str
    settings: TaskSettings
    inputs: Inputs
    fingerprint: str
    work: Path
    kept: dict[int, dict[str, Any]]

    @property
    def task(self) -> Task:
        return build_task(self.settings, self.inputs.classes)


def _model(name: str, settings: TaskSettings, inputs: Inputs, paths: Paths) -> _Model:
    inputs = inputs.at(settings.augment.image_size)
    settings = fitted_settings(settings, inputs)
    key = training_fingerprint(settings, inputs)
    entry = _trained(paths).get(name, {})
    same = entry.get("folds", []) if entry.get("fingerprint") == key else []
    kept = {fold["fold"]: fold for fold in same if _is_whole(paths.fold(fold["fold"], name), fold, settings)}
    return _Model(name, settings, inputs, key, paths.checkpoints / key, kept)


def _trained(paths: Paths) -> dict[str, dict[str, Any]]:
    """Read what models/T holds, by member; nothing where run.json is missing or damaged."""
    try:
        return model_entries(read_json(paths.models / "run.json"))
    except DataError:
        return {}


def _run_of(models: list[_Model], paths: Paths) -> str | None:
    """Find the run of the training that left just these models, as where a kill came before DVC had noted that."""
    entries = _trained(paths)
    wanted = {model.name: fold_numbers(model.settings, model.inputs) for model in models}
    kept = {model.name: list(model.kept) for model in models}
    there = {name: [fold["fold"] for fold in entry.get("folds", [])] for name, entry in entries.items()}
    return read_json(paths.models / "run.json").get("run_id") if wanted == kept == there else None


def _is_whole(folder: Path, fold: dict[str, Any], settings: TaskSettings) -> bool:
    """Tell whether a trained fold has all that is asked for, in the files whose SHA-256 its entry of run.json holds."""
    damaged = damaged_files(folder, fold)
    if damaged and folder.exists():
        say(f"{folder / damaged[0]} is missing or damaged; this fold is trained again.")
    return not damaged and (not settings.train.log_layer_stats or _has_layers(folder / "history.csv"))


def _has_layers(history: Path) -> bool:
    """Tell whether a history has the columns of train.log_layer_stats."""
    return any(column.startswith(GRADIENT) for column in pd.read_csv(history, nrows=0).columns)


def _train(model: _Model, run: Run, record: RunIds) -> dict[str, Any]:
    """Train a model's missing folds; returns its entry in run.json."""
    folds = []
    for number in fold_numbers(model.settings, model.inputs):
        if number in model.kept:
            say(f"{_place(model, number)}  kept: neither data, settings nor code have changed")
        folds.append(model.kept.get(number) or _train_fold(model, number, run, record))
    parameters = sum(parameter.numel() for parameter in model.task.model().parameters())
    return {"fingerprint": model.fingerprint, "parameters": parameters, "folds": folds}


def _train_other(model: _Model, parent: Run, record: RunIds) -> dict[str, Any]:
    """The same in a run of its own, unless there is nothing to train."""
    if set(fold_numbers(model.settings, model.inputs)) <= set(model.kept):
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


def _changes(settings: TaskSettings) -> dict[str, Any]:
    """What each member changes, as parameters of the run that holds them all."""
    return {f"train.ensemble.{name}": json.dumps(changes) for name, changes in settings.train.ensemble.items()}


def fold_numbers(settings: TaskSettings, inputs: Inputs) -> list[int]:
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
    settings, inputs, work, task = model.settings, model.inputs, model.work, model.task
    name = _place(model, number)
    key = f"fold{number}"
    is_main = this_process().is_main_process
    with parent.child(f"{settings.name} {name}", run_id=record[name], tags={"stage": "fold"}) as tracked:
        record[name] = tracked.id
        tracked.log_params({"fold": number, **tracked_parameters(settings)})

        def on_epoch(row: dict[str, float]) -> None:
            tracked.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
            if is_main:
                say(_epoch_line(name, row, settings.train.epochs))

        fitted = fit(
            task,
            inputs.pack,
            *inputs.fold(number),
            seed=settings.train.seed + number,
            checkpoint=Checkpoint(work / key),
            on_epoch=on_epoch,
        )
        if is_main:
            _write_fold(fitted, work / key)
            tracked.log_artifact(work / key / "history.csv")
        tracked.log_metrics({"best_score": fitted.progress.best_score})
    progress = fitted.progress
    if math.isnan(progress.best_score):
        say(
            f"{name}  its {task.score_name} is undefined, since its validation images show nothing to find; the last "
            f"epoch, {progress.best_epoch}, is kept, and means over folds leave this fold out"
        )
    return {
        "fold": number,
        "run_id": record[name],
        "score": without_nan(progress.best_score),
        "best_epoch": progress.best_epoch,
        "epochs": len(progress.history),
        "seconds": progress.seconds,
        "sha256": {file: sha256_of(work / key / file) for file in FILES} if is_main else {},
    }


def _epoch_line(fold: str, row: dict[str, float], epochs: int) -> str:
    told = "undefined" if math.isnan(row.get("score", 0.0)) else f"{row.get('score', 0.0):.4f}"
    score = f"  score {told}" if "score" in row else ""
    return f"{fold}  epoch {int(row['epoch'])}/{epochs}  loss {row['loss']:.4f}{score}  {row['seconds']:.0f} s"


def _write_fold(fitted: Fitted, folder: Path) -> None:
    with atomic_path(folder / "weights.safetensors") as temporary:
        temporary.write_bytes(save({name: value.contiguous() for name, value in fitted.weights.items()}))
    write_table(pd.DataFrame(fitted.progress.history).astype({"epoch": int}), folder / "history.csv")


def _summary(base: _Model, run_id: str | None, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "task": base.settings.name,
        "run_id": run_id,
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


def _deliver(models: list[_Model], entries: dict[str, dict[str, Any]], paths: Paths, summary: dict[str, Any]) -> None:
    """Move what was trained, and what is kept, into models/T, whole."""
    with atomic_folder(paths.models) as folder:
        for model in models:
            config = {
                "settings": model.settings.model_dump(),
                "classes": model.inputs.classes,
                "decoding": model.inputs.decoding.record(),
            }
            for number in (fold["fold"] for fold in entries[model.name]["folds"]):
                old = paths.fold(number, model.name)
                source = old if number in model.kept else model.work / f"fold{number}"
                new = folder / old.relative_to(paths.models)
                new.mkdir(parents=True)
                for file in FILES:
                    shutil.copyfile(source / file, new / file)
                (new / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
                entries[model.name]["config_sha256"] = sha256_of(new / CONFIG)
        summary |= _by_member(entries)
        write_json(folder / "run.json", summary)
