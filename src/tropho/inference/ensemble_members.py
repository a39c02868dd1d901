"""The models of a task's ensemble as run.json lists them, and what each of them says of some images."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator

from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import DataError
from tropho.files import read_json, sha256_of
from tropho.inference.fuse_members import stack_members, stack_views
from tropho.inference.predict import predict
from tropho.inference.predictor import Predictor, load_predictor
from tropho.inference.trained_folds import damaged_files
from tropho.paths import Paths
from tropho.tasks.base import Task

CONFIG = "config.yaml"
"""Of a trained fold: settings and classes, the same for all folds of a model; written anew at each training."""


def model_entries(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Entries of run.json by member, the task's own model first; each has "folds"."""
    return {BASE: record, **record.get("members", {})}


def wanted_entries(settings: TaskConfig, paths: Paths, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`model_entries`, which are of the members that the settings ask for; else DataError."""
    entries = model_entries(record)
    wanted = [BASE, *settings.train.ensemble]
    if set(wanted) != set(entries):
        raise DataError(
            f"{paths.models} holds {', '.join(entries)}, and params.yaml asks for {', '.join(wanted)}; run "
            f"`dvc repro`, or `tropho train {settings.name}`."
        )
    return entries


def missing_label_findings(settings: TaskConfig, paths: Paths) -> list[dict[str, Any]]:
    """Read what the audit found of classes that annotators left out of some images; empty where it is not to count."""
    summary = paths.audit / "summary.json"
    if settings.audit.missing_labels != "detect" or not summary.exists():
        return []
    findings: list[dict[str, Any]] = read_json(summary).get("missing_labels", [])
    return findings


@dataclass(frozen=True)
class EnsembleMember:
    """A model of the ensemble: its trained folds, and the data at the size that it looks at."""

    name: str
    folds: dict[int, Predictor]
    data: TaskData

    @property
    def task(self) -> Task:
        """That of its first fold; the folds differ in weights alone."""
        return next(iter(self.folds.values())).task

    def views(self, number: int, truth: GroundTruth, accelerator: Accelerator) -> list[pd.DataFrame]:
        """One fold's predictions for these images, one table a test-time view."""
        task, model = self.task, self.folds[number].model
        chosen = task.settings.predict
        return [
            predict(task, model, truth, self.data.cache, accelerator, chosen.batch_size, view) for view in chosen.tta
        ]

    def predict(
        self, number: int, truth: GroundTruth, accelerator: Accelerator, fitted: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The same merged; `fitted` as for `Task.fuse_views`."""
        return self.task.fuse_views(self.views(number, truth, accelerator), fitted)


def load_entry(
    name: str, entry: dict[str, Any], settings: TaskConfig, paths: Paths, device: torch.device
) -> dict[int, Predictor]:
    """One trained model by fold, from its entry in run.json."""
    for fold in entry["folds"]:
        folder = paths.fold(fold["fold"], name)
        damaged = damaged_files(folder, fold)
        digest = entry.get("config_sha256")  # not in what earlier versions trained
        if digest and not ((folder / CONFIG).is_file() and sha256_of(folder / CONFIG) == digest):
            damaged.append(CONFIG)
        if damaged:
            raise DataError(
                f"{folder / damaged[0]} is missing or damaged: it is not what was trained; run "
                f"`tropho train {settings.name}`, which makes it again (`dvc repro` sees no damage in its own cache)."
            )
    numbers = [fold["fold"] for fold in entry["folds"]]
    return {number: load_predictor(paths.fold(number, name), device, settings) for number in numbers}


def load_folds(
    settings: TaskConfig, paths: Paths, record: dict[str, Any], device: torch.device
) -> dict[str, dict[int, Predictor]]:
    """Every trained model by member and fold, on `device`, with the present settings of predict and evaluate.

    Raises:
        DataError: the settings ask for other members than were trained.
    """
    entries = wanted_entries(settings, paths, record)
    return {name: load_entry(name, entry, settings, paths, device) for name, entry in entries.items()}


def load_members(
    settings: TaskConfig, paths: Paths, record: dict[str, Any], data: TaskData, device: torch.device
) -> list[EnsembleMember]:
    """The same with the data at the size that each looks at; raise DataError where other data was trained on."""
    if record.get("data_hash", data.data_hash) != data.data_hash:
        raise DataError(
            f"{paths.models} was trained on other images, labels or folds than there are now, so that none of them is "
            f"known to be unseen; run `dvc repro`, or `tropho train {settings.name}`."
        )
    return [
        EnsembleMember(name, folds, data.at_size(next(iter(folds.values())).task.settings.augment.image_size))
        for name, folds in load_folds(settings, paths, record, device).items()
    ]


def out_of_fold(members: list[EnsembleMember], accelerator: Accelerator) -> pd.DataFrame:
    """Every member's predictions for the images of each fold by the model that did not see them, stacked.

    Views are kept apart only where their fusion is to be fitted: as many rows as there are views take memory.
    """
    tables = {}
    for member in members:
        settings = member.task.settings
        apart = settings.evaluate.postprocess_trials > 0 and len(settings.predict.tta) > 1
        folds = []
        for number in member.folds:
            unseen = member.data.train_val(number)[1]
            if apart:
                folds.append(stack_views(member.views(number, unseen, accelerator)))
            else:
                folds.append(member.predict(number, unseen, accelerator))
        tables[member.name] = pd.concat(folds, ignore_index=True)
    return stack_members(tables)


def of_images(
    members: list[EnsembleMember], truth: GroundTruth, accelerator: Accelerator, fitted: dict[str, Any] | None = None
) -> pd.DataFrame:
    """Every member's predictions for images that none was trained on, its views and then its folds merged, stacked.

    `fitted` is what ensembles.fit_members returned.
    """
    tables = {}
    for member in members:
        folds = [member.predict(number, truth, accelerator, fitted) for number in member.folds]
        tables[member.name] = member.task.fuse_views(folds, fitted)
    return stack_members(tables)
