"""Exponential moving average of a model's weights."""

import copy

import torch
from torch import nn


class ModelEma:
    """A copy of a model that follows its weights: average = decay * average + (1 - decay) * weights.

    The decay warms up as (1 + n) / (10 + n), so that a short training is not held at its first weights. Statistics
    of batch normalisation are averaged too; counters are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        target = model.state_dict()
        averaged, current = [], []
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                averaged.append(value)
                current.append(target[name].detach())
            else:
                value.copy_(target[name])
        torch._foreach_lerp_(averaged, current, 1 - decay)
