"""Optimizers whose weight decay spares biases and norms."""

from torch import nn, optim

from tropho.settings import TrainSettings


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups: matrices and kernels, which decay, and vectors (biases, norm scales and shifts), which don't."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [each for each in trainable if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trainable if each.ndim < 2], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, train: TrainSettings) -> optim.Optimizer:
    """AdamW, or SGD with momentum, over `parameter_groups`."""
    groups = parameter_groups(model, train.weight_decay)
    if train.optimizer == "sgd":
        return optim.SGD(groups, lr=train.lr, momentum=train.momentum)
    return optim.AdamW(groups, lr=train.lr)
