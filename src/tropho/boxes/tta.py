"""Test-time augmentation: flipped, rotated and scaled views of images, and their boxes mapped back."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tropho.boxes.box_ops import invert_boxes, scaled_size
from tropho.config.predict_config import parse_view
from tropho.orientation import SYMMETRIES

TtaView = str  # `SYMMETRY` or `SYMMETRY@SCALE`, such as "hflip@1.25"


def view_images(images: Tensor, view: TtaView, stride: int = 1) -> Tensor:
    """Resize a batch (B, C, H, W), pad it at the right and bottom, then flip or rotate it.

    A scaled view is padded with black to multiples of `stride` pixels; without a scale nothing is padded.
    """
    symmetry, scale = parse_view(view)
    if scale != 1.0:
        height, width = scaled_size((images.shape[2], images.shape[3]), scale)
        resized = functional.interpolate(images.float(), (height, width), mode="bilinear", antialias=True)
        padding = (0, -width % stride, 0, -height % stride)
        images = functional.pad(resized.round_().clamp_(0, 255).to(images.dtype), padding)
    swapped, columns, rows = SYMMETRIES[symmetry]
    images = images.transpose(2, 3) if swapped else images
    reversed_dims = [dim for dim, on in ((3, columns), (2, rows)) if on]
    return images.flip(reversed_dims) if reversed_dims else images


def predict_view(
    view: TtaView, detect: Callable[[Tensor], list[dict[str, Tensor]]], images: Tensor, stride: int = 1
) -> list[dict[str, Tensor]]:
    """Run a detector on one test-time view of images (B, 3, H, W) uint8 and map its boxes back.

    `detect` maps images (B, 3, h, w) to B outputs on the CPU with "boxes" (n, 4) xyxy in pixels of the view, which are
    returned in pixels of `images`. A scaled view is padded to multiples of `stride` pixels.
    """
    height, width = images.shape[2:]
    outputs = detect(view_images(images, view, stride))
    boxes = [invert_boxes(output["boxes"].numpy(), view, height, width, stride) for output in outputs]
    return [{**output, "boxes": torch.from_numpy(each)} for output, each in zip(outputs, boxes, strict=True)]
