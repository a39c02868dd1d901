"""Checks of a task before it is trained for long, and an estimate of what that costs from a few steps."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from tropho.config.model_config import CLASSIFIERS
from tropho.config.task_config import TaskConfig
from tropho.config.train_config import TrainConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import DataError
from tropho.files import write_json
from tropho.log import info
from tropho.models.backbone import stage_of
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.checkpoint import Checkpoint
from tropho.training.data_loader import divisible_batch_size
from tropho.training.devices import this_process
from tropho.training.loop import Trainer
from tropho.training.optim import build_optimizer
from tropho.training.overfit import Overfit, pick_images
from tropho.training.step_log import peak_memory
from tropho.training.target_checks import Finding, check_targets, draw_batch
from tropho.training.training_plan import PlannedModel

RECORD = "preflight.json"
LONG = 600.0  # seconds of a training that is checked before it starts
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


def check_rate(task: Task) -> Finding:
    """Compare the peak learning rates of the optimizer's groups with those at which such networks are known to learn.

    A DETR's published ones are 1e-4 and, for its pretrained backbone, 1e-5.
    """
    model, train = task.settings.model, task.settings.train
    is_adamw = train.optimizer == "adamw"
    if "detr" in model.name:
        (low, high), backbone_high = (1e-5, 5e-4) if is_adamw else (1e-4, 0.05), 5e-5 if model.pretrained else 5e-4
    elif model.pretrained:
        (low, high), backbone_high = (1e-5, 2e-3) if is_adamw else (1e-3, 0.9), 2e-3
    else:
        sgd_high = 4.0 if model.name in CLASSIFIERS else 0.9
        (low, high), backbone_high = (5e-5, 4e-3) if is_adamw else (1e-3, sgd_high), 4e-3
    scale = 1.0 if is_adamw else 1 - train.momentum  # momentum multiplies the steps of SGD
    low, high = scale * low, scale * high
    name = f"train.lr {train.lr:g} of {train.optimizer}"
    network = f"{'pretrained' if model.pretrained else 'untrained'} {model.name}"
    if train.lr >= high:
        return Finding("rate", "fault", f"{name} is too high for the {network}, which needs less than {high:.2g}.")
    if train.lr < low:
        return Finding("rate", "warning", f"{name} is low for the {network}, which may then learn too slowly.")
    backbone = backbone_lr(task.build_model(), train)
    if is_adamw and backbone > backbone_high:
        text = f"The backbone of the {network} learns at {backbone:.1g}, more than {backbone_high:.1g}; its published"
        return Finding("rate", "warning", f"{text} weights may be lost.")
    return Finding("rate", "ok", f"{name} suits the {network} ({low:.2g} to {high:.2g}).")


def backbone_lr(model: nn.Module, train: TrainConfig) -> float:
    """Return the greatest learning rate of the backbone's weights; 0 without a backbone."""
    backbone = {id(weight) for name, weight in model.named_parameters() if stage_of(name) is not None}
    groups = build_optimizer(model, train).param_groups
    rates = [group["lr_scale"] for group in groups if any(id(weight) in backbone for weight in group["params"])]
    return train.lr * max(rates, default=0.0)


def preflight(settings: TaskConfig, data: TaskData, fold: int, raw: Path, picture: Path) -> list[Finding]:
    """Check rate and targets and, where they are right, whether a handful of a fold's images can be learned.

    The settings have all that is fitted to the data; `picture` is the PNG to write, the handful with its targets.
    """
    task = build_task(settings, data.classes)
    train_gt = data.train_val(fold)[0]
    image_ids = pick_images(task, train_gt)
    gt = train_gt.subset(image_ids)
    findings = [check_rate(task), check_targets(task, gt, data.cache)]
    draw_batch(task, gt, data.cache, picture)
    if not any(finding.state == "fault" for finding in findings):
        findings.append(Overfit(settings, data, image_ids, raw).check())
    return findings


def check_before_training(models: Sequence[PlannedModel], raw: Path) -> None:
    """Check models whose training is estimated to take more than ten minutes, once; record it in their folders.

    A model of which something is trained already is left alone, and so are several processes.

    Raises:
        DataError: a check found a fault. The next training of the same model starts without a check.
    """
    new = [model for model in models if _is_new(model)]
    if this_process().num_processes > 1 or not new:
        return
    costs = {
        model.name: measure_cost(build_task(model.settings, model.data.classes), model.data, model.folds[0])
        for model in new
        if may_take_long(model.settings, model.data, len(model.folds))
    }
    seconds = sum(len(model.folds) * costs[model.name].seconds for model in new if model.name in costs)
    if seconds < LONG or not all((raw / path).exists() for path in new[0].data.gt.images["path"].head(1)):
        return
    info(f"This training takes about {duration(seconds)}; a handful of images is learned first, as a check.")
    for model in new:
        findings = preflight(model.settings, model.data, model.folds[0], raw, model.folder / "preflight.png")
        lines = [f"{model.name}  {finding}" for finding in findings]
        if cost := costs.get(model.name):
            lines.append(f"{model.name}  cost: {describe_cost(cost, model.settings.train, len(model.folds))}")
        info("\n".join(lines))
        record = {"findings": [asdict(finding) for finding in findings], "cost": asdict(cost) if cost else None}
        write_json(model.folder / RECORD, record)
        for finding in findings:
            if finding.state == "fault":
                raise DataError(
                    f"{model.name} of {model.settings.name} is not trained, since a check failed: {finding.text} To "
                    "train it all the same, run the command again."
                )


def _is_new(model: PlannedModel) -> bool:
    """Tell whether nothing of the model has been trained or checked."""
    begun = any(Checkpoint(model.folder / f"fold{fold}").exists() for fold in model.folds)
    return not (begun or model.published or (model.folder / RECORD).exists())
