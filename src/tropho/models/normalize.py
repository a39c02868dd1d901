"""Pixels to network input."""

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """uint8 RGB (B, 3, H, W) in 0..255 -> float32 with ImageNet's mean and deviation."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        std = torch.tensor(STD).view(1, 3, 1, 1)
        # Constants are no part of the learned weights, so they stay out of the state dict.
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels to network input, in the same memory format."""
        return images.to(self.scale.dtype, copy=True).mul_(self.scale).add_(self.shift)
