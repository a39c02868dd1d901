"""Gradients and activations layer by layer, so that vanishing and exploding ones can be seen."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from tropho.tables import GRADIENT, IDLE, MEAN, STD

STEPS = 8
"""Steps at the start of each epoch that are measured."""

FLAT = 0.05
"""An activation is idle where its slope is below this share of its greatest."""


class LayerStats:
    """Measures the first steps of an epoch.

    For each linear or convolution layer: the norm of its weight's gradient, and mean and deviation of its outputs; for
    each activation the share of outputs at which it lets (nearly) no gradient through.

    Args:
        model: hooks are put on its layers while an epoch is measured, and taken off again.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weighted = {
            name: layer
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.requires_grad
        }
        self._activations = {name: layer for name, layer in model.named_modules() if isinstance(layer, SLOPES)}
        self._hooks: list[Any] = []
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._steps = 0

    def start(self) -> None:
        """Begin an epoch."""
        self._sums, self._counts, self._steps = {}, defaultdict(int), 0
        for name, layer in self._weighted.items():
            self._hooks.append(layer.register_forward_hook(self._output_hook(name)))
        for name, activation in self._activations.items():
            self._hooks.append(activation.register_forward_hook(self._idle_hook(name)))

    def after_backward(self, scale: float) -> None:
        """Note the gradients of a step; `scale` undoes what clipping did to them."""
        if self._steps >= STEPS:
            return
        for name, layer in self._weighted.items():
            if layer.weight.grad is not None:
                self._add(GRADIENT + name, layer.weight.grad.norm() * scale)
        self._steps += 1
        if self._steps == STEPS:
            self._stop()

    def finish(self) -> dict[str, float]:
        """End the epoch; the means over the measured steps by column."""
        self._stop()
        return {name: float(value) / self._counts[name] for name, value in self._sums.items()}

    def _stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] += 1

    def _output_hook(self, name: str) -> Any:
        def hook(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            values = output.detach().float()
            self._add(MEAN + name, values.mean())
            self._add(STD + name, values.std(correction=0))

        return hook

    def _idle_hook(self, name: str) -> Any:
        def hook(layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._add(IDLE + name, (slope_share(layer, output.detach().float()) < FLAT).float().mean())

        return hook


SELU_SCALE = 1.0507009873554805
SELU_STEEPEST = SELU_SCALE * 1.6732632423543772

SLOPES = (nn.ReLU, nn.LeakyReLU, nn.SELU, nn.Sigmoid, nn.Tanh)


def slope_share(layer: nn.Module, output: Tensor) -> Tensor:
    """Slope of an activation over its greatest slope, as its outputs tell (inputs may be overwritten)."""
    match layer:
        case nn.Sigmoid():
            return 4 * output * (1 - output)
        case nn.Tanh():
            return 1 - output**2
        case nn.SELU():
            # Its slope is SELU_SCALE above zero, and below it output + SELU_STEEPEST, which is the greatest at zero.
            return torch.where(output > 0, SELU_SCALE, output + SELU_STEEPEST) / SELU_STEEPEST
        case nn.LeakyReLU():
            return torch.where(output > 0, 1.0, layer.negative_slope)
        case _:
            return (output > 0).float()
