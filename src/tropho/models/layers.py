"""Input normalization, activations, norm layers and initial weights by their settings."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from tropho.config.model_config import ModelConfig

GROUPS = 32  # groups of a group norm (Wu and He, 2018)
NAIVE_STD = 0.01  # of the initial weights with init: naive
NEGATIVE_SLOPE = 0.01  # of leaky_relu

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)  # both of ImageNet's channels, in 0..1


class Normalize(nn.Module):
    """uint8 RGB images (B, 3, H, W) -> float32 (image / 255 - mean) / std, in the same memory format."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        means, stds = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        # Constants are not learned, so they stay out of the state dict.
        self.register_buffer("scale", 1 / (255 * stds), persistent=False)
        self.register_buffer("shift", -means / stds, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.to(self.scale.dtype, copy=True).mul_(self.scale).add_(self.shift)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, NEGATIVE_SLOPE, inplace=True),
    "selu": partial(nn.SELU, inplace=True),
}


def activation(model: ModelConfig) -> nn.Module:
    """Build an activation layer."""
    return ACTIVATIONS[model.activation]()


def group_norm(channels: int) -> nn.GroupNorm:
    """Build a group norm of 32 groups, or of as many as divide `channels` into two or more channels each.

    On a 1 x 1 map, a group of one channel would normalise a single value.
    """
    groups = math.gcd(GROUPS, channels)
    return nn.GroupNorm(groups // 2 if 1 < groups == channels else groups, channels)


NORMS_2D: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": partial(nn.GroupNorm, 1),
    "group": group_norm,
    "frozen": FrozenBatchNorm2d,
    "none": nn.Identity,
}
"""From the number of channels to the norm layer of maps (B, channels, H, W)."""
NORMS_1D: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "none": nn.Identity,
}
"""From the number of features to the norm layer of vectors (B, features)."""


def init_weights(network: nn.Module, model: ModelConfig) -> None:
    """Draw initial weights of linear and convolution layers; biases become zero.

    kaiming: normal, std gain / sqrt(fan in), gain by the activation (He et al., 2015). xavier: uniform by both fans
    (Glorot and Bengio, 2010). naive: normal, NAIVE_STD in every layer.
    """
    gain = _gain(model)
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        match model.init:
            case "kaiming":
                fan_in = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
            case "xavier":
                nn.init.xavier_uniform_(layer.weight, gain)
            case "naive":
                nn.init.normal_(layer.weight, std=NAIVE_STD)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _gain(model: ModelConfig) -> float:
    if model.activation == "selu":
        return 1.0  # self-normalising only with LeCun's deviation, 1 / sqrt(fan in) (Klambauer et al., 2017)
    return nn.init.calculate_gain(model.activation, NEGATIVE_SLOPE)
