"""Train: one model a fold, resumable, with its history and its run on MLflow."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from accelerate import Accelerator
from safetensors.torch import save_file

from tropho.errors import OutsideError, UsageError
from tropho.files import atomic_folder, read_json, write_json
from tropho.progress import say
from tropho.settings import TaskSettings
from tropho.stages.inputs import Inputs, fitted_settings, read_inputs, training_fingerprint, tuned
from tropho.stages.paths import Paths
from tropho.tasks import build_task
from tropho.tracking import Run, best_runs, flatten, open_tracker
from tropho.training.checkpoints import Checkpoint
from tropho.training.fit import Fitted, fit, make_accelerator


def run(settings: TaskSettings, root: Path) -> dict[str, Any]:
    """Train the folds that the settings ask for into models/T; returns what run.json says."""
    paths = Paths(root, settings.name)
    inputs = read_inputs(paths)
    settings = fitted_settings(tuned(settings, paths), inputs)
    work = paths.checkpoints / training_fingerprint(settings, inputs)
    accelerator = make_accelerator(settings.train)
    record = _Record(work / "run.json")
    with open_tracker(root).run(
        f"train {settings.name}", experiment=settings.name, run_id=record.parent, tags={"stage": "train"}
    ) as parent:
        record.parent = parent.id
        parent.log_params(tracked_parameters(settings))
        folds = [
            _train_fold(settings, inputs, number, work, accelerator, parent, record)
            for number in fold_numbers(settings, inputs)
        ]
        scores = [fold["score"] for fold in folds]
        score = sum(scores) / len(scores)
        parent.log_metrics({"score": score, "seconds": sum(fold["seconds"] for fold in folds)})
        parent.set_tags({"score_name": build_task(settings, inputs.classes).score_name})
        summary = _summary(settings, inputs, parent.id, folds, accelerator)
        if accelerator.is_main_process:
            _deliver(settings, inputs, work, paths, summary)
        best = max(folds, key=lambda fold: fold["score"])
        alias = "champion" if _is_best(root, settings.name, score) else None
        parent.log_model(paths.models / f"fold{best['fold']}", name=settings.name, alias=alias)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(paths.checkpoints, ignore_errors=True)
    return summary


def fold_numbers(settings: TaskSettings, inputs: Inputs) -> list[int]:
    """The folds to train: the first `train.folds` of those that exist, or all."""
    numbers = sorted(inputs.folds)
    wanted = settings.train.folds or len(numbers)
    if wanted > len(numbers):
        raise UsageError(f"train.folds is {wanted}, but split.folds made only {len(numbers)}; lower it or use null.")
    return numbers[:wanted]


def tracked_parameters(settings: TaskSettings) -> dict[str, Any]:
    """The settings that shape a model, by dotted key."""
    sections = ("split", "augment", "model", "train")
    return flatten(settings.model_dump(include=set(sections)))


def _is_best(root: Path, task: str, score: float) -> bool:
    """Whether no tracked training of the task has a higher score; False if the tracking store can't tell."""
    try:
        return bool((best_runs(root, task)["score"] <= score).all())
    except OutsideError:
        return False


class _Record:
    """Which MLflow runs a training in progress writes to, so that a resumed one goes on in them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[str, str] = read_json(path) if path.exists() else {}

    def __getitem__(self, key: str) -> str | None:
        return self._ids.get(key)

    def __setitem__(self, key: str, run_id: str | None) -> None:
        if run_id is not None:  # a server that is away for now takes no known run with it
            self._ids[key] = run_id
            write_json(self._path, self._ids)

    @property
    def parent(self) -> str | None:
        return self["parent"]

    @parent.setter
    def parent(self, run_id: str | None) -> None:
        self["parent"] = run_id


def _train_fold(
    settings: TaskSettings,
    inputs: Inputs,
    number: int,
    work: Path,
    accelerator: Accelerator,
    parent: Run,
    record: _Record,
) -> dict[str, Any]:
    """Train one fold, or go on with it, or find it finished; returns its entry in run.json."""
    key = f"fold{number}"
    task = build_task(settings, inputs.classes)
    with parent.child(f"{settings.name} {key}", run_id=record[key], tags={"stage": "fold"}) as tracked:
        record[key] = tracked.id
        tracked.log_params({"fold": number, **tracked_parameters(settings)})

        def on_epoch(row: dict[str, float]) -> None:
            tracked.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
            if accelerator.is_main_process:
                say(_epoch_line(key, row, settings.train.epochs))

        fitted = fit(
            task,
            inputs.pack,
            *inputs.fold(number),
            accelerator,
            seed=settings.train.seed + number,
            checkpoint=Checkpoint(work / key),
            on_epoch=on_epoch,
        )
        if accelerator.is_main_process:
            _write_fold(fitted, work / key)
            tracked.log_artifact(work / key / "history.csv")
        tracked.log_metrics({"best_score": fitted.progress.best_score})
    progress = fitted.progress
    return {
        "fold": number,
        "run_id": record[key],
        "score": progress.best_score,
        "best_epoch": progress.best_epoch,
        "epochs": len(progress.history),
        "seconds": progress.seconds,
    }


def _epoch_line(fold: str, row: dict[str, float], epochs: int) -> str:
    score = f"  score {row['score']:.4f}" if "score" in row else ""
    return f"{fold}  epoch {int(row['epoch'])}/{epochs}  loss {row['loss']:.4f}{score}  {row['seconds']:.0f} s"


def _write_fold(fitted: Fitted, folder: Path) -> None:
    save_file({name: value.contiguous() for name, value in fitted.weights.items()}, folder / "weights.safetensors")
    pd.DataFrame(fitted.progress.history).astype({"epoch": int}).to_csv(folder / "history.csv", index=False)


def _summary(
    settings: TaskSettings,
    inputs: Inputs,
    run_id: str | None,
    folds: list[dict[str, Any]],
    accelerator: Accelerator,
) -> dict[str, Any]:
    task = build_task(settings, inputs.classes)
    return {
        "task": settings.name,
        "run_id": run_id,
        "classes": inputs.classes,
        "score_name": task.score_name,
        "parameters": sum(parameter.numel() for parameter in task.model().parameters()),
        "device": str(accelerator.device),
        "processes": accelerator.num_processes,
        "folds": folds,
    }


def _deliver(settings: TaskSettings, inputs: Inputs, work: Path, paths: Paths, summary: dict[str, Any]) -> None:
    """Move what was trained into models/T, whole."""
    config = {"settings": settings.model_dump(), "classes": inputs.classes}
    with atomic_folder(paths.models) as folder:
        for fold in summary["folds"]:
            name = f"fold{fold['fold']}"
            (folder / name).mkdir()
            for file in ("weights.safetensors", "history.csv"):
                shutil.copyfile(work / name / file, folder / name / file)
            text = yaml.safe_dump(config, sort_keys=False)
            (folder / name / "config.yaml").write_text(text, encoding="utf-8")
        write_json(folder / "run.json", summary)
