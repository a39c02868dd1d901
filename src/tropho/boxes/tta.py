"""Test-time views: a picture turned, mirrored or resized, and the boxes found there brought back."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tropho.config.predict_config import parse_view
from tropho.orientation import SYMMETRIES

TtaView = str
"""`SYMMETRY` or `SYMMETRY@SCALE`; see tropho.config.predict_config."""


def view_images(images: Tensor, view: TtaView, stride: int = 1) -> Tensor:
    """The batch (B, C, H, W) as seen through a view, its sides padded with black to multiples of `stride`.

    It is resized, padded at the right and bottom, then turned. Without a scale nothing is padded: the batch's own
    sides are whole strides.
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
    """Boxes (n, 4) xyxy in pixels of a view -> the same in pixels of the batch (height, width) it was made of."""
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
    found = torch.stack([xmin, ymin, xmax, ymax], dim=1)
    return found if scale == 1.0 else found / found.new_tensor(factors * 2)


def predict_view(
    view: TtaView, look: Callable[[Tensor], list[dict[str, Tensor]]], images: Tensor, stride: int = 1
) -> list[dict[str, Tensor]]:
    """What `look` finds in the images (B, 3, H, W) as seen through a view, its "boxes" brought back to theirs."""
    height, width = images.shape[2:]
    outputs = look(view_images(images, view, stride))
    return [{**each, "boxes": invert_boxes(each["boxes"], view, height, width, stride)} for each in outputs]


def _scaled(side: int, scale: float) -> int:
    return max(1, round(side * scale))


def _padded(side: int, stride: int) -> int:
    return -(-side // stride) * stride
