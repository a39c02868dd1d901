"""Checks of a task before it is trained for long."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from tropho.config.model_config import ModelConfig
from tropho.config.task_config import TaskConfig
from tropho.config.train_config import TrainConfig
from tropho.data.task_data import TaskData
from tropho.errors import DataError
from tropho.files import write_json
from tropho.log import info
from tropho.models.backbone import stage_of
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.checkpoint import Checkpoint
from tropho.training.devices import this_process
from tropho.training.optim import build_optimizer
from tropho.training.overfit import Overfit, pick_images
from tropho.training.target_checks import Finding, check_targets, draw_batch
from tropho.training.training_cost import describe_cost, duration, may_take_long, measure_cost
from tropho.training.training_plan import PlannedModel

RECORD = "preflight.json"
LONG = 600.0  # seconds of a training that is checked before it starts


@dataclass(frozen=True)
class LrRange:
    """Least and greatest peak learning rate at which a kind of network is known to learn."""

    adamw: tuple[float, float]
    sgd: tuple[float, float]  # each divided by 1 - momentum
    backbone: float  # the greatest rate of AdamW there


def lr_range(model: ModelConfig) -> LrRange:
    """Look up the rates of a network; a DETR's published ones are 1e-4 and, for its pretrained backbone, 1e-5."""
    if "detr" in model.name:
        return LrRange((1e-5, 5e-4), (1e-4, 0.05), 5e-5 if model.pretrained else 5e-4)
    if model.pretrained:
        return LrRange((1e-5, 2e-3), (1e-3, 0.9), 2e-3)
    return LrRange((5e-5, 4e-3), (1e-3, 4.0 if model.name in ("mlp", "lenet", "resnet") else 0.9), 4e-3)


def check_rate(task: Task) -> Finding:
    """Compare the peak learning rates of the optimizer's groups with the range of the network."""
    model, train = task.settings.model, task.settings.train
    limits = lr_range(model)
    is_adamw = train.optimizer == "adamw"
    scale = 1.0 if is_adamw else 1 - train.momentum
    low, high = (scale * limit for limit in (limits.adamw if is_adamw else limits.sgd))
    name = f"train.lr {train.lr:g} of {train.optimizer}"
    network = f"{'pretrained' if model.pretrained else 'untrained'} {model.name}"
    if train.lr >= high:
        return Finding("rate", "fault", f"{name} is too high for the {network}, which needs less than {high:.2g}.")
    if train.lr < low:
        return Finding("rate", "warning", f"{name} is low for the {network}, which may then learn too slowly.")
    backbone = backbone_lr(task.build_model(), train)
    if is_adamw and backbone > limits.backbone:
        text = f"The backbone of the {network} learns at {backbone:.1g}, more than {limits.backbone:.1g}; its published"
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
