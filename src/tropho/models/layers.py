"""Input normalization, activations, norm layers and initial weights by their settings."""

import math
from collections.abc import Callable, Sequence

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


def activation(model: ModelConfig) -> nn.Module:
    """Build an activation layer."""
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
    """Build a group norm of 32 groups, or of as many as divide `channels` into two or more channels each.

    On a 1 x 1 map, a group of one channel would normalise a single value.
    """
    groups = math.gcd(GROUPS, channels)
    return nn.GroupNorm(groups // 2 if 1 < groups == channels else groups, channels)


def norm2d(model: ModelConfig) -> Callable[[int], nn.Module]:
    """Return a function from the number of channels to the norm layer of maps (B, channels, H, W)."""
    match model.norm:
        case "batch":
            return nn.BatchNorm2d
        case "layer":
            return lambda channels: nn.GroupNorm(1, channels)
        case "group":
            return group_norm
        case "frozen":
            frozen: Callable[[int], nn.Module] = FrozenBatchNorm2d
            return frozen
        case "none":
            return lambda _channels: nn.Identity()


def norm1d(model: ModelConfig) -> Callable[[int], nn.Module]:
    """Return a function from the number of features to the norm layer of vectors (B, features)."""
    match model.norm:
        case "batch":
            return nn.BatchNorm1d
        case "layer":
            return nn.LayerNorm
        case "none":
            return lambda _features: nn.Identity()
    raise ValueError(f"norm '{model.norm}' is for maps")


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
