"""Where the positions of a feature pyramid lie in the image."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

MIDDLE, CORNER = 0.5, 0.0
"""Where positions stand, in strides."""


@dataclass(frozen=True)
class Grid:
    """The positions of all levels, one after the other, row by row; N in all.

    A position of a level with stride s stands at the middle of its s x s pixels, so that every place in the
    image is within half a stride of one, up to the right and lower edges. torchvision's detectors have theirs at
    the upper left corner of these pixels.
    """

    strides: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]
    """Height and width of each level's feature map."""
    device: torch.device
    offset: float = MIDDLE
    """Where in its pixels a position stands, in strides."""

    @classmethod
    def of(cls, features: list[Tensor], levels: list[int], offset: float = MIDDLE) -> "Grid":
        """The grid of feature maps (B, C, h, w), one for each level number."""
        shapes = tuple((each.shape[2], each.shape[3]) for each in features)
        return cls(tuple(2**level for level in levels), shapes, features[0].device, offset)

    @property
    def counts(self) -> list[int]:
        """Positions of each level."""
        return [height * width for height, width in self.shapes]

    @cached_property
    def points(self) -> Tensor:
        """(N, 2) x and y in pixels."""
        levels = []
        for stride, (height, width) in zip(self.strides, self.shapes, strict=True):
            y = (torch.arange(height, device=self.device, dtype=torch.float32) + self.offset) * stride
            x = (torch.arange(width, device=self.device, dtype=torch.float32) + self.offset) * stride
            levels.append(torch.cartesian_prod(y, x).flip(1).reshape(-1, 2))
        return torch.cat(levels)

    @cached_property
    def stride_of(self) -> Tensor:
        """(N,) stride of each position's level in pixels."""
        strides = torch.tensor(self.strides, device=self.device, dtype=torch.float32)
        return strides.repeat_interleave(torch.tensor(self.counts, device=self.device))
