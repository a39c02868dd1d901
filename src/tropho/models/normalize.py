"""Pixels to network input."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """uint8 RGB (B, 3, H, W) in 0..255 -> float32 less `mean`, over `deviation`, both of 0..1."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float] = MEAN, deviation: Sequence[float] = STD) -> None:
        super().__init__()
        middle = torch.tensor(mean).view(1, 3, 1, 1)
        std = torch.tensor(deviation).view(1, 3, 1, 1)
        # Constants are no part of the learned weights, so they stay out of the state dict.
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -middle / std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels to network input, in the same memory format."""
        return images.to(self.scale.dtype, copy=True).mul_(self.scale).add_(self.shift)
