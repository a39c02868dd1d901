"""Optimizers whose weight decay spares biases and norms, with lower rates for lower stages of a backbone."""

from typing import Any

from torch import nn, optim

from tropho.config.task_config import TrainConfig
from tropho.models.backbone import stage_of

STAGES = 5  # of a backbone: the stem and four more


def param_groups(model: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
    """Groups of parameters by whether they decay and by their share of the learning rate.

    Matrices and kernels decay, vectors (biases, norm scales and shifts) don't. Each stage of a backbone learns at
    `layer_decay` times the rate of the one above it, the last one at that share of what lies on top (discriminative
    fine-tuning: Howard and Ruder, 2018). The share is the group's key "share".
    """
    shares: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        stage = stage_of(name)
        share = 1.0 if stage is None else layer_decay ** (STAGES - stage)
        if parameter.requires_grad:
            shares.setdefault(share, []).append(parameter)
    return [
        {"params": [each for each in parameters if (each.ndim >= 2) == decays], "weight_decay": decay, "share": share}
        for share, parameters in shares.items()
        for decays, decay in ((True, weight_decay), (False, 0.0))
    ]


def build_optimizer(model: nn.Module, train: TrainConfig) -> optim.Optimizer:
    """AdamW, or SGD with momentum, over `param_groups`."""
    groups = param_groups(model, train.weight_decay, train.layer_decay)
    if train.optimizer == "sgd":
        return optim.SGD(groups, lr=train.lr, momentum=train.momentum)
    return optim.AdamW(groups, lr=train.lr)
