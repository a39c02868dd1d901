"""Activations, norm layers and initial weights by their settings."""

import math
from collections.abc import Callable

from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from tropho.config.model_config import ModelConfig

GROUPS = 32
"""Groups of a group norm (Wu and He, 2018)."""

NAIVE_STD = 0.01
NEGATIVE_SLOPE = 0.01
"""Of leaky_relu, below zero."""


def activation(model: ModelConfig) -> nn.Module:
    """A new activation layer."""
    match model.activation:
        case "sigmoid":
            return nn.Sigmoid()
        case "tanh":
            return nn.Tanh()
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)
        case "selu":
            return nn.SELU(inplace=True)


def group_norm(channels: int) -> nn.GroupNorm:
    """A group norm with 32 groups, or as many as divide `channels` and have two each.

    A group of one channel would have a single value to normalise where the map is 1 x 1.
    """
    groups = math.gcd(GROUPS, channels)
    return nn.GroupNorm(groups // 2 if 1 < groups == channels else groups, channels)


def norm2d(model: ModelConfig) -> Callable[[int], nn.Module]:
    """What makes the norm layer of maps (B, channels, H, W) from the number of channels."""
    match model.norm:
        case "batch":
            return nn.BatchNorm2d
        case "layer":
            return lambda channels: nn.GroupNorm(1, channels)
        case "group":
            return group_norm
        case "frozen":
            return FrozenBatchNorm2d
        case "none":
            return lambda _channels: nn.Identity()


def norm1d(model: ModelConfig) -> Callable[[int], nn.Module]:
    """What makes the norm layer of vectors (B, features) from their number; batch, layer or none."""
    match model.norm:
        case "batch":
            return nn.BatchNorm1d
        case "layer":
            return nn.LayerNorm
        case "none":
            return lambda _features: nn.Identity()
    raise ValueError(f"norm '{model.norm}' is for maps")


def initialise(network: nn.Module, model: ModelConfig) -> None:
    """Draw the weights of linear and convolution layers anew; biases become zero.

    kaiming: normal with deviation gain / sqrt(fan in), the gain by the activation (He et al., 2015). xavier: uniform
    with gain and both fans (Glorot and Bengio, 2010). naive: normal with one deviation for all layers, by which
    signals die out or explode with depth.
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
