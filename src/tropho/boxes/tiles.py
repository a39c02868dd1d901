"""Looking at an image through overlapping square tiles, a few at a time."""

from collections import defaultdict
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn

from tropho.boxes.merge_tiles import merge_tile_boxes
from tropho.config.model_config import STRIDE


def tile_windows(height: int, width: int, tile: int, overlap: int) -> Tensor:
    """Windows (tiles, 4) int64 xyxy that cover an image, row by row.

    They are as few as can be, and spread evenly, so that neighbours share `overlap` pixels or more. An image that is
    smaller than a tile along an axis has windows of its own size there.

    Args:
        height: of the image, as width and all else in pixels and a multiple of STRIDE.
        width: of the image.
        tile: side of a window.
        overlap: less than `tile`.
    """
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    sides = min(width, tile), min(height, tile)
    return torch.tensor([(x, y, x + sides[0], y + sides[1]) for y, x in product(rows, columns)])


def predict_tiled(
    model: nn.Module, images: Tensor, tile: int, overlap: int, batch_size: int, most: int
) -> list[dict[str, Tensor]]:
    """What a detector finds in images that it looks at tile by tile.

    Tiles that are all black are left out, unless their image is nothing else. P(any object) of an image is the highest
    of its tiles': one object anywhere is enough.

    Args:
        model: a detector in evaluation mode; see models.detectors.Detector.
        images: uint8 (B, 3, H, W).
        tile: side of a tile in pixels, a multiple of STRIDE.
        overlap: pixels that neighbours share at least, a multiple of STRIDE less than `tile`.
        batch_size: tiles that the model sees at once.
        most: boxes an image at most.

    Returns:
        As the model does, on the CPU in float32.
    """
    height, width = images.shape[2:]
    windows = tile_windows(height, width, tile, overlap)
    if len(windows) == 1:
        return on_cpu(model(images))
    views = [images[..., top:bottom, left:right] for left, top, right, bottom in windows.tolist()]
    lit = torch.stack([view.amax(dim=(1, 2, 3)) > 0 for view in views], dim=1)
    lit[:, 0] |= ~lit.any(dim=1)
    places = lit.nonzero().tolist()
    found: list[list[dict[str, Tensor]]] = [[] for _ in images]
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size]
        outputs = on_cpu(model(torch.stack([views[number][row] for row, number in some])))
        for (row, _), output in zip(some, outputs, strict=True):
            found[row].append(output)
    shown = [windows[row] for row in lit.cpu()]
    return [merge_tile_boxes(each, where, (height, width), most) for each, where in zip(found, shown, strict=True)]


def group_by_size(
    look: Callable[[Tensor], list[dict[str, Tensor]]], images: Tensor, sizes: Tensor
) -> list[dict[str, Tensor]]:
    """What is found in the images of a batch if those of one size are looked at together, without what pads them more.

    So tiles are laid over an image's own sides, whatever else is in its batch.

    Args:
        look: gives one output an image (B, 3, h, w); h and w are the images' own, padded to multiples of STRIDE.
        images: (B, 3, H, W), padded at the right and bottom.
        sizes: (B, 2) int64, heights and widths without padding.
    """
    rows = defaultdict(list)
    for row, (height, width) in enumerate((-(-sizes // STRIDE) * STRIDE).tolist()):
        rows[height, width].append(row)
    found: dict[int, dict[str, Tensor]] = {}
    for (height, width), some in rows.items():
        found.update(zip(some, look(images[some, :, :height, :width]), strict=True))
    return [found[row] for row in range(len(images))]


def on_cpu(outputs: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """A model's outputs as float32 on the CPU."""
    return [{name: value.float().cpu() for name, value in output.items()} for output in outputs]


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Multiples of STRIDE, so that a pyramid's positions are those of the whole image."""
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [number * (length - tile) // STRIDE // steps * STRIDE for number in range(steps + 1)]
