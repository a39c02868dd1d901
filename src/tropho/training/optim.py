"""Optimizers, learning-rate schedules, frozen backbones and the average of weights."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from tropho.config.train_config import TrainConfig
from tropho.models.backbone import stage_of

N_STAGES = 5  # of a backbone: the stem and four stages
ONE_CYCLE_RISE = 0.3  # share of training with a rising rate (Smith and Topin, 2018, as popularised by fastai)
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4 / 25


def param_groups(
    model: nn.Module, weight_decay: float, layer_decay: float = 1.0, backbone_lr_scale: float = 1.0
) -> list[dict[str, Any]]:
    """Group parameters by weight decay and by their share of the learning rate.

    Matrices and kernels decay; vectors (biases, norm scales and shifts) don't. The backbone learns at
    `backbone_lr_scale` times the rate, and each of its stages at `layer_decay` times that of the one above it
    (discriminative fine-tuning: Howard and Ruder, 2018).

    Returns:
        Groups for a torch optimizer, with the share as "lr_scale".
    """
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        stage = stage_of(name)
        scale = 1.0 if stage is None else backbone_lr_scale * layer_decay ** (N_STAGES - stage)
        if parameter.requires_grad:
            by_scale.setdefault(scale, []).append(parameter)
    return [
        {"params": [p for p in parameters if (p.ndim >= 2) == decays], "weight_decay": decay, "lr_scale": scale}
        for scale, parameters in by_scale.items()
        for decays, decay in ((True, weight_decay), (False, 0.0))
    ]


def build_optimizer(model: nn.Module, train: TrainConfig) -> optim.Optimizer:
    """Build AdamW, or SGD with momentum, over `param_groups`."""
    groups = param_groups(model, train.weight_decay, train.layer_decay, train.backbone_lr_scale)
    if train.optimizer == "sgd":
        return optim.SGD(groups, lr=train.lr, momentum=train.momentum)
    # One kernel for all weights; on a CPU it would round differently.
    fused = True if next(model.parameters()).device.type == "cuda" else None
    return optim.AdamW(groups, lr=train.lr, fused=fused)


def lr_at(train: TrainConfig, epoch: float, scores: Sequence[float] = ()) -> float:
    """Compute the learning rate at a point of training; a pure function, so that resuming needs no schedule state.

    Args:
        train: schedule, lr (the peak), epochs, warmup_epochs, decay_epochs, decay_rate.
        epoch: epochs done, with fractions, 0.0 to train.epochs.
        scores: validation scores so far, higher is better; only `plateau` uses them.
    """
    if train.schedule == "one_cycle":
        return train.lr * _one_cycle(min(max(epoch / train.epochs, 0.0), 1.0))
    if epoch < train.warmup_epochs:
        return train.lr * max(epoch / train.warmup_epochs, 1e-3)
    return train.lr * _decay(train, epoch, scores)


def _decay(train: TrainConfig, epoch: float, scores: Sequence[float]) -> float:
    """Compute the factor of the peak rate after warm-up."""
    match train.schedule:
        case "cosine":
            rest = max(train.epochs - train.warmup_epochs, 1e-9)
            return 0.5 * (1 + math.cos(math.pi * min((epoch - train.warmup_epochs) / rest, 1.0)))
        case "step":
            return train.decay_rate ** (int(epoch) // train.decay_epochs)
        case "exponential":
            return train.decay_rate ** int(epoch)
        case "plateau":
            return train.decay_rate ** count_plateaus(scores, train.decay_epochs)
        case _:
            return 1.0


def _one_cycle(progress: float) -> float:
    """Rise to 1 by a cosine over the first part, fall nearly to 0 over the rest; `progress` is in 0..1."""
    if progress < ONE_CYCLE_RISE:
        return _cosine(ONE_CYCLE_START, 1.0, progress / ONE_CYCLE_RISE)
    return _cosine(1.0, ONE_CYCLE_END, (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def count_plateaus(scores: Sequence[float], patience: int) -> int:
    """Count how often `patience` validations in a row brought no new best score."""
    best, n_waited, n_plateaus = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, n_waited = score, 0
        else:
            n_waited += 1
        if n_waited == patience:
            n_plateaus, n_waited = n_plateaus + 1, 0
    return n_plateaus


def set_backbone_frozen(model: nn.Module, frozen: bool) -> None:
    """Freeze or unfreeze the backbone's weights and batch-norm statistics; call it after `model.train()`."""
    for name, parameter in model.named_parameters():
        if stage_of(name) is not None:
            parameter.requires_grad_(not frozen)
            if frozen:
                parameter.grad = None  # else the optimizer applies the last one again
    for name, layer in model.named_modules():
        if frozen and isinstance(layer, _BatchNorm) and stage_of(f"{name}.") is not None:
            layer.eval()


class ModelEma(AveragedModel):
    """Exponential moving average of a model's weights and batch-norm statistics, as `module`.

    average = d * average + (1 - d) * weights, with d = min(decay, (1 + n) / (10 + n)) at step n = 1, 2, ...
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self._decay = decay
        self.eval().requires_grad_(requires_grad=False)
        assert isinstance(self.n_averaged, Tensor)
        self.n_averaged.fill_(1)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take one step toward the model's present values; unlike torch's own, it reads nothing back from a GPU."""
        assert isinstance(self.n_averaged, Tensor)
        n = int(self.n_averaged)  # stays on the CPU
        weights = 1 - min(self._decay, (1 + n) / (10 + n))
        pairs = list(zip(_values(self.module), _values(model), strict=True))
        floats = [(averaged, current) for averaged, current in pairs if averaged.is_floating_point()]
        torch._foreach_lerp_([averaged for averaged, _ in floats], [current for _, current in floats], weights)
        for averaged, current in pairs:
            if not averaged.is_floating_point():
                averaged.copy_(current)  # counters
        self.n_averaged += 1


def _values(model: nn.Module) -> list[Tensor]:
    return [value.detach() for value in (*model.parameters(), *model.buffers())]
