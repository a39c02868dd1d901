"""Test-time augmentation: flipped, rotated and scaled views of images, and their boxes mapped back."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tropho.config.predict_config import parse_view
from tropho.orientation import SYMMETRIES

TtaView = str  # `SYMMETRY` or `SYMMETRY@SCALE`, such as "hflip@1.25"


def view_images(images: Tensor, view: TtaView, stride: int = 1) -> Tensor:
    """Resize a batch (B, C, H, W), pad it at the right and bottom, then flip or rotate it.

    A scaled view is padded with black to multiples of `stride` pixels; without a scale nothing is padded.
    """
    symmetry, scale = parse_view(view)
    if scale != 1.0:
        height, width = _scaled(images.shape[2], scale), _scaled(images.shape[3], scale)
        resized = functional.interpolate(images.float(), (height, width), mode="bilinear", antialias=True)
        padding = (0, _padded(width, stride) - width, 0, _padded(height, stride) - height)
        images = functional.pad(resized.round_().clamp_(0, 255).to(images.dtype), padding)
    swapped, columns, rows = SYMMETRIES[symmetry]
    images = images.transpose(2, 3) if swapped else images
    reversed_dims = [dim for dim, on in ((3, columns), (2, rows)) if on]
    return images.flip(reversed_dims) if reversed_dims else images


def invert_boxes(boxes: Tensor, view: TtaView, height: int, width: int, stride: int = 1) -> Tensor:
    """Map boxes (n, 4) xyxy from pixels of a view to pixels of the batch of `height` x `width`."""
    symmetry, scale = parse_view(view)
    factors = [1.0, 1.0]
    full = [width, height]
    if scale != 1.0:
        resized = [_scaled(side, scale) for side in full]
        factors = [new / side for new, side in zip(resized, full, strict=True)]
        full = [_padded(side, stride) for side in resized]
    swapped, columns, rows = SYMMETRIES[symmetry]
    seen_width, seen_height = full[::-1] if swapped else full
    xmin, ymin, xmax, ymax = boxes.unbind(1)
    if columns:
        xmin, xmax = seen_width - xmax, seen_width - xmin
    if rows:
        ymin, ymax = seen_height - ymax, seen_height - ymin
    if swapped:
        xmin, ymin, xmax, ymax = ymin, xmin, ymax, xmax
    inverted = torch.stack([xmin, ymin, xmax, ymax], dim=1)
    return inverted if scale == 1.0 else inverted / inverted.new_tensor(factors * 2)


def predict_view(
    view: TtaView, detect: Callable[[Tensor], list[dict[str, Tensor]]], images: Tensor, stride: int = 1
) -> list[dict[str, Tensor]]:
    """Run a detector on one test-time view of images (B, 3, H, W) uint8 and map its boxes back.

    `detect` maps images (B, 3, h, w) to B outputs with "boxes" (n, 4) xyxy in pixels of the view, which are returned in
    pixels of `images`. A scaled view is padded to multiples of `stride` pixels.
    """
    height, width = images.shape[2:]
    outputs = detect(view_images(images, view, stride))
    return [{**output, "boxes": invert_boxes(output["boxes"], view, height, width, stride)} for output in outputs]


def _scaled(side: int, scale: float) -> int:
    return max(1, round(side * scale))


def _padded(side: int, stride: int) -> int:
    return -(-side // stride) * stride
