"""What the heads of the detectors share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tropho.models.layers import group_norm

Targets = list[dict[str, Tensor]]
"""One an image: "boxes" (n, 4) float32 xyxy pixels, "labels" (n,) int64 from 0; where classes are not labelled
"ignore" (classes,) bool, too; where there are ignored regions "regions" (m, 4), too."""

Detections = list[dict[str, Tensor]]
"""One an image: "boxes" (n, 4) xyxy pixels, "scores" (n,) falling, "labels" (n,) int64 from 0."""

PRIOR = 0.01
"""Confidence of an untrained detector (focal loss, Lin et al., 2017)."""


@dataclass(frozen=True)
class HeadOutput:
    """`losses` in training, else empty; `detections` in evaluation, else empty."""

    losses: dict[str, Tensor]
    detections: Detections


class Tower(nn.Sequential):
    """`depth` times 3x3 convolution, group norm, ReLU; shared by all levels, hence no batch norm."""

    def __init__(self, width: int, depth: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(depth):
            conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            layers += [conv, group_norm(width), nn.ReLU(inplace=True)]
        super().__init__(*layers)


def output_conv(width: int, channels: int, bias: float = 0.0) -> nn.Conv2d:
    """A 3x3 convolution that starts near the constant `bias`."""
    conv = nn.Conv2d(width, channels, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, bias)
    return conv


def prior_bias() -> float:
    """The bias by which a sigmoid starts at PRIOR."""
    return -math.log((1 - PRIOR) / PRIOR)


def flatten_levels(maps: Sequence[Tensor], values: int) -> Tensor:
    """Maps (B, A * values, h, w) of all levels -> float32 (B, N * A, values), in the grid's order."""
    rows = [each.permute(0, 2, 3, 1).reshape(each.shape[0], -1, values) for each in maps]
    return torch.cat(rows, dim=1).float()
