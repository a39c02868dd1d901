"""What a training consists of: its models, with the settings and data of each, and the folds to train."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tropho.config.load import member_settings
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import TaskData
from tropho.errors import UsageError
from tropho.inference.trained_folds import StartWeights, find_start_weights, published_fold
from tropho.paths import Paths
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.batch_size import with_batch_size
from tropho.training.devices import make_accelerator, this_process
from tropho.training.training_fingerprint import fitted_settings, training_fingerprint, tuned


@dataclass(frozen=True)
class PlannedModel:
    """One model of the ensemble."""

    name: str  # of the member
    settings: TaskConfig  # with all that is fitted to the data
    data: TaskData  # images at the member's size
    fingerprint: str  # of the training
    folder: Path  # runs/T/FINGERPRINT
    start: StartWeights | None = None  # weights that it starts from, if the settings name any
    published: dict[int, dict[str, Any]] = field(default_factory=dict)  # records of folds that are trained already

    @property
    def task(self) -> Task:
        return build_task(self.settings, self.data.classes)

    @property
    def folds(self) -> list[int]:
        return fold_numbers(self.settings, self.data)

    def read_published(self) -> dict[int, dict[str, Any]]:
        log_layer_stats = self.settings.train.log_layer_stats
        records = {fold: published_fold(self.folder / f"fold{fold}", log_layer_stats) for fold in self.data.folds}
        return {fold: record for fold, record in records.items() if record is not None}


def plan_models(settings: TaskConfig, data: TaskData, paths: Paths) -> list[PlannedModel]:
    """List the task's own model and the further members, with the settings that their training would have."""
    return [_build(name, member, data, paths) for name, member in member_settings(tuned(settings, paths)).items()]


def _build(name: str, settings: TaskConfig, data: TaskData, paths: Paths) -> PlannedModel:
    data = data.at_size(settings.augment.image_size)
    settings = fitted_settings(settings, data)
    start = find_start_weights(settings.model.weights, paths.root)
    if start and start.path.resolve().is_relative_to(paths.models.resolve()):
        raise UsageError(f"model.weights lies in {paths.models}, which this training replaces; copy it elsewhere.")
    key = training_fingerprint(settings, data, start)
    folder = paths.runs / key
    return PlannedModel(name, with_batch_size(settings, data, folder / "batch_size.json"), data, key, folder, start)


def check_machine(models: list[PlannedModel]) -> None:
    """Raise UsageError, before any work, where this machine or its processes can't train one of the models."""
    processes = this_process().num_processes
    for model in models:
        train = model.settings.train
        make_accelerator(train)
        if train.images_per_step % processes:
            raise UsageError(
                f"train.batch_size {train.batch_size} of {model.name} can't be divided among {processes} processes; "
                f"make it a multiple of {processes}, or start another number of processes."
            )


def fold_numbers(settings: TaskConfig, data: TaskData) -> list[int]:
    """List the folds to train: the first `train.n_folds`, or all."""
    folds = sorted(data.folds)
    n_folds = settings.train.n_folds or len(folds)
    if n_folds > len(folds):
        raise UsageError(f"train.n_folds is {n_folds}, but split.n_folds made only {len(folds)}; lower it or use null.")
    return folds[:n_folds]
