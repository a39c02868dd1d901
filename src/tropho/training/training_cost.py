"""Estimate what a training costs from a few of its steps."""

import time
from dataclasses import dataclass

import torch

from tropho.config.task_config import TaskConfig
from tropho.config.train_config import TrainConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.tasks.base import Task
from tropho.training.data_loader import divisible_batch_size
from tropho.training.loop import Trainer
from tropho.training.overfit import pick_images
from tropho.training.step_log import peak_memory

GPU_STEPS, CPU_STEPS = 12, 1
"""Steps of an epoch that is measured, after as many that warm up; a GPU's loader runs ahead, which takes some steps."""
MIN_PIXELS = 2e7  # pixels that a training of ten minutes has to pass; a ResNet-50 on one core of a CPU passes more


@dataclass(frozen=True)
class TrainingCost:
    """Cost of training one fold."""

    step_seconds: float  # with the time for the batch
    memory: int  # most bytes in use: of the GPU's tensors, or of the process on a CPU; 0 = unknown
    train_seconds: float  # of all epochs
    val_seconds: float  # of all validations

    @property
    def seconds(self) -> float:
        return self.train_seconds + self.val_seconds


def measure_cost(task: Task, data: TaskData, fold: int) -> TrainingCost:
    """Measure some steps of a fold's training, and the prediction of some images, with its own loader and optimizer.

    The weights are thrown away.
    """
    train = task.settings.train
    train_gt, val_gt = data.train_val(fold)
    batch_size = divisible_batch_size(train, len(train_gt.images), 1)
    n_images = batch_size * (GPU_STEPS if torch.accelerator.is_available() else CPU_STEPS)
    few, shown = _evenly(train_gt, n_images), val_gt.subset(pick_images(task, val_gt))
    trainer = Trainer(task, data.cache, few, shown, train.seed)
    device = trainer.accelerator.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        # With the backbone trained, if it is frozen in the first epochs: those steps cost more.
        trainer.train_one_epoch(train.freeze_backbone_epochs)
        row = trainer.train_one_epoch(train.freeze_backbone_epochs + 1)
        trainer.validate()
        start = time.perf_counter()
        trainer.validate()
        val_seconds = (time.perf_counter() - start) / len(shown.images)  # of an image
    finally:
        trainer.accelerator.free_memory()
    step_seconds = row["seconds"] / (len(few.images) // batch_size)
    return TrainingCost(
        step_seconds,
        peak_memory(device),
        train.epochs * (len(train_gt.images) // batch_size) * step_seconds,
        -(-train.epochs // train.val_interval) * len(val_gt.images) * val_seconds,
    )


def may_take_long(settings: TaskConfig, data: TaskData, n_folds: int) -> bool:
    """Tell whether so many folds may take ten minutes; a training of few pixels is not worth measuring."""
    side = min(settings.augment.crop_size or data.cache.size, data.cache.size)
    return n_folds * settings.train.epochs * len(data.fold_of) * side**2 >= MIN_PIXELS


def _evenly(gt: GroundTruth, n: int) -> GroundTruth:
    """Take about `n` images, evenly spaced in the table."""
    ids = list(gt.images["image_id"])
    return gt.subset(ids[:: max(1, len(ids) // n)][:n])


def describe_cost(cost: TrainingCost, train: TrainConfig, n_folds: int) -> str:
    """Say what a step costs, and the training of so many folds."""
    memory = f", {cost.memory / 1e9:.1f} GB of memory" if cost.memory else ""
    return (
        f"{cost.step_seconds:.2f} s a step of {train.batch_size} images{memory}; {n_folds} fold(s) of {train.epochs} "
        f"epochs take about {duration(n_folds * cost.seconds)}, {duration(n_folds * cost.val_seconds)} of it validation"
    )


def duration(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
