"""What a training consists of: its models, with settings, data and batch size of each, and the folds to train."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from tropho.config.load import member_settings
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import UsageError
from tropho.files import read_json, write_json
from tropho.images.cache import ImageCache
from tropho.inference.trained_folds import StartWeights, find_start_weights, published_fold
from tropho.log import info
from tropho.models.device_limits import free_memory, is_out_of_memory
from tropho.paths import Paths
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.devices import make_accelerator, this_process
from tropho.training.loop import add_gradients
from tropho.training.optim import build_optimizer
from tropho.training.training_fingerprint import fitted_settings, training_fingerprint, tuned

MAX_IMAGES = 128  # a step; more would mean too few steps an epoch
CPU_IMAGES = 32  # a step on a CPU, which has no memory of its own and gains nothing by larger batches
MAX_SHARE = 0.9  # of the GPU's memory; batches of larger images need more than the one that is tried


def with_batch_size(settings: TaskConfig, data: TaskData, file: Path | None = None) -> TaskConfig:
    """Replace `train.batch_size: auto` by a number of images; any other batch size stays.

    The file, if any, keeps the number for a training that is resumed.

    Raises:
        UsageError: several processes train one model.
    """
    if settings.train.batch_size != "auto":
        return settings
    if file and file.exists():
        size = int(read_json(file)["batch_size"])
    else:
        gt = data.train_val(min(data.folds))[0]
        accelerator = make_accelerator(settings.train)
        if accelerator.num_processes > 1:
            raise UsageError("train.batch_size 'auto' is for one process; give the number of images a step.")
        size = min(CPU_IMAGES, len(gt.images))
        if accelerator.device.type != "cpu":
            size = largest_batch(build_task(settings, data.classes), data.cache, gt, accelerator)
            free_memory()
        info(f"train.batch_size auto: {size} images a step on {accelerator.device}")
        if file:
            write_json(file, {"batch_size": size})
    return settings.model_copy(update={"train": settings.train.model_copy(update={"batch_size": size})})


def largest_batch(task: Task, cache: ImageCache, gt: GroundTruth, accelerator: Accelerator) -> int:
    """Double a batch from one image until a training step does not fit the memory; return the last that does."""
    settings = task.settings.train
    set_seed(settings.seed)
    model = task.build_model().to(accelerator.device).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, settings)
    dataset, limit = task.build_dataset(cache, gt, train=True), min(MAX_IMAGES, len(gt.images))

    def fits(n_images: int) -> bool:
        batch = task.collate([dataset[0, idx, 0] for idx in range(n_images)])
        try:
            batch["images"] = batch["images"].to(accelerator.device)
            add_gradients(task, model, batch, accelerator)
            optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            optimizer.zero_grad()
        return _peak_share(accelerator.device) <= MAX_SHARE

    size = 1
    while size < limit and fits(min(2 * size, limit)):
        size = min(2 * size, limit)
    return size


def _peak_share(device: torch.device) -> float:
    """Return the share of the GPU's memory that was used at most; 0 on other devices."""
    if device.type != "cuda":
        return 0.0
    return torch.cuda.max_memory_reserved(device) / torch.cuda.get_device_properties(device).total_memory


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
    data = data.with_empty_fraction(settings.train.empty_fraction, settings.train.seed)
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
