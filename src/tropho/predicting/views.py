"""Test-time views: a picture seen in a mirror, and the boxes found there brought back."""

from typing import Literal

import torch
from torch import Tensor

View = Literal["identity", "hflip", "vflip", "rot180"]

_FLIPPED_DIMS: dict[View, list[int]] = {"identity": [], "hflip": [-1], "vflip": [-2], "rot180": [-2, -1]}


def view_images(images: Tensor, view: View) -> Tensor:
    """The batch (B, C, H, W) as seen through a view; each view is its own inverse."""
    dims = _FLIPPED_DIMS[view]
    return images.flip(dims) if dims else images


def view_boxes(boxes: Tensor, view: View, height: int, width: int) -> Tensor:
    """Boxes (n, 4) xyxy in pixels of a view -> the same in the picture of that height and width, or back."""
    xmin, ymin, xmax, ymax = boxes.unbind(-1)
    if -1 in _FLIPPED_DIMS[view]:
        xmin, xmax = width - xmax, width - xmin
    if -2 in _FLIPPED_DIMS[view]:
        ymin, ymax = height - ymax, height - ymin
    return torch.stack([xmin, ymin, xmax, ymax], dim=-1)
