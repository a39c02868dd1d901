"""Statistics of gradients and activations by layer, which show vanishing and exploding gradients."""

from collections import defaultdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tropho.tables import DEAD, GRADIENT, MEAN, STD

N_STEPS = 8  # steps at the start of each epoch that are measured
DEAD_SLOPE = 0.05  # an output is dead where the activation's slope is below this share of its maximum
SELU_SCALE = 1.0507009873554805
SELU_MAX_SLOPE = SELU_SCALE * 1.6732632423543772
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.SELU, nn.Sigmoid, nn.Tanh)


class LayerStats:
    """Measures the first steps of an epoch by hooks on the layers.

    For a linear or convolution layer: the norm of its weight's gradient, mean and standard deviation of its outputs.
    For an activation: the fraction of dead outputs.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weighted = {
            name: layer
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.requires_grad
        }
        self._activations = {name: layer for name, layer in model.named_modules() if isinstance(layer, ACTIVATIONS)}
        self._hooks: list[Any] = []
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._n_steps = 0

    def start(self) -> None:
        """Begin an epoch."""
        self._sums, self._counts, self._n_steps = {}, defaultdict(int), 0
        for name, layer in self._weighted.items():
            self._hooks.append(layer.register_forward_hook(partial(self._measure_output, name)))
        for name, activation in self._activations.items():
            self._hooks.append(activation.register_forward_hook(partial(self._measure_dead, name)))

    def after_backward(self, scale: float) -> None:
        """Measure the gradients of a step, times `scale`, which undoes clipping."""
        if self._n_steps >= N_STEPS:
            return
        for name, layer in self._weighted.items():
            if layer.weight.grad is not None:
                self._add(GRADIENT + name, layer.weight.grad.norm() * scale)
        self._n_steps += 1
        if self._n_steps == N_STEPS:
            self._remove_hooks()

    def finish(self) -> dict[str, float]:
        """End the epoch; return means over the measured steps by column."""
        self._remove_hooks()
        return {name: float(value) / self._counts[name] for name, value in self._sums.items()}

    def _remove_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] += 1

    def _measure_output(self, name: str, _layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        values = output.detach().float()
        self._add(MEAN + name, values.mean())
        self._add(STD + name, values.std(correction=0))

    def _measure_dead(self, name: str, layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._add(DEAD + name, (relative_slope(layer, output.detach().float()) < DEAD_SLOPE).float().mean())


def relative_slope(layer: nn.Module, output: Tensor) -> Tensor:
    """Compute an activation's slope over its maximum from its outputs, since inputs may be overwritten."""
    match layer:
        case nn.Sigmoid():
            return 4 * output * (1 - output)
        case nn.Tanh():
            return 1 - output**2
        case nn.SELU():
            # The slope is SELU_SCALE above 0, and output + SELU_MAX_SLOPE below.
            return torch.where(output > 0, SELU_SCALE, output + SELU_MAX_SLOPE) / SELU_MAX_SLOPE
        case nn.LeakyReLU():
            return torch.where(output > 0, 1.0, layer.negative_slope)
        case _:
            return (output > 0).float()
