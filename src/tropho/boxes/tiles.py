"""Detection in overlapping tiles of an image, and the merging of the tiles' boxes."""

from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, product

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torchvision.ops import box_area, box_iou

from tropho.config.model_config import STRIDE

EDGE = 4.0
"""Pixels. A box that ends this near a tile's border is truncated by it; positions of P2 are as far apart."""

EDGE_SHARE = 0.1
"""The same for large boxes, as a share of their side along that axis, since detectors err in proportion."""

SAME_OBJECT = 0.5  # boxes of two tiles that overlap more where both tiles look are of one object


def tile_windows(height: int, width: int, tile: int, overlap: int) -> Tensor:
    """Lay tiles over an image, as few as can be, evenly spread; a side shorter than a tile has one of its own length.

    All are pixels and multiples of STRIDE; neighbours share at least `overlap`, which is less than `tile`.

    Returns:
        (tiles, 4) int64 xyxy, row by row.
    """
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    tile_width, tile_height = min(width, tile), min(height, tile)
    return torch.tensor([(x, y, x + tile_width, y + tile_height) for y, x in product(rows, columns)])


def predict_tiled(
    model: nn.Module, images: Tensor, tile: int, overlap: int, batch_size: int, max_detections: int
) -> list[dict[str, Tensor]]:
    """Detect objects in images (B, 3, H, W) tile by tile; black tiles are skipped, but for the first of a black image.

    `tile` and `overlap` are pixels, multiples of STRIDE. The model, a detector in evaluation mode, sees `batch_size`
    tiles at once.

    Returns:
        The model's outputs, on the CPU in float32; P(any object) is the highest of the tiles'.
    """
    height, width = images.shape[2:]
    windows = tile_windows(height, width, tile, overlap)
    if len(windows) == 1:
        return on_cpu(model(images))
    tiles = [images[..., top:bottom, left:right] for left, top, right, bottom in windows.tolist()]
    lit = torch.stack([tile_images.amax(dim=(1, 2, 3)) > 0 for tile_images in tiles], dim=1)  # (B, tiles)
    lit[:, 0] |= ~lit.any(dim=1)
    places = lit.nonzero().tolist()
    outputs: list[list[dict[str, Tensor]]] = [[] for _ in images]
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        for (row, _), output in zip(
            batch, on_cpu(model(torch.stack([tiles[number][row] for row, number in batch]))), strict=True
        ):
            outputs[row].append(output)
    shown = [windows[row] for row in lit.cpu()]
    return [
        merge_tile_boxes(output, where, (height, width), max_detections)
        for output, where in zip(outputs, shown, strict=True)
    ]


def group_by_size(
    detect: Callable[[Tensor], list[dict[str, Tensor]]], images: Tensor, sizes: Tensor
) -> list[dict[str, Tensor]]:
    """Run a detector on the images of each size together, so that tiles do not depend on the batch's padding.

    Images (B, 3, H, W) are padded at the right and bottom; sizes (B, 2) are their heights and widths without padding.
    `detect` maps images (b, 3, h, w) of their own size, padded to multiples of STRIDE, to b outputs.
    """
    rows = defaultdict(list)
    for row, (height, width) in enumerate((-(-sizes // STRIDE) * STRIDE).tolist()):
        rows[height, width].append(row)
    outputs: dict[int, dict[str, Tensor]] = {}
    for (height, width), group in rows.items():
        outputs.update(zip(group, detect(images[group, :, :height, :width]), strict=True))
    return [outputs[row] for row in range(len(images))]


def on_cpu(outputs: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Move a model's outputs to the CPU as float32."""
    return [{name: value.float().cpu() for name, value in output.items()} for output in outputs]


def merge_tile_boxes(
    tiles: list[dict[str, Tensor]], windows: Tensor, size: tuple[int, int], max_detections: int
) -> dict[str, Tensor]:
    """Merge the detections of an image's tiles: each object once, whole where a tile's border truncates it.

    Boxes of one class in two tiles match if each is the other's best by IoU where both tiles look. Of matched boxes
    the best untruncated one stays; without one they become the box around them. A truncated box without a match goes
    where the other tile has a larger or untruncated box over most of it.

    Args:
        tiles: per tile "boxes" (n, 4) xyxy pixels of the tile, "scores" (n,) descending, "labels" (n,), "presence" ().
        windows: (tiles, 4) xyxy, where the tiles lie in the image.
        size: height and width of the image.
        max_detections: boxes that are kept, by score.

    Returns:
        The same of the image; P(any object) is the highest of the tiles'.
    """
    windows = windows.double()
    tile = torch.arange(len(tiles)).repeat_interleave(torch.tensor([len(output["scores"]) for output in tiles]))
    boxes, scores, labels = (torch.cat([output[name] for output in tiles]) for name in ("boxes", "scores", "labels"))
    boxes = boxes.double() + windows[tile, :2].repeat(1, 2)  # (n, 4), pixels of the image
    truncated = _is_truncated(boxes, windows[tile], size)
    links, dropped = [torch.zeros(0, 2, dtype=torch.int64)], torch.zeros(len(boxes), dtype=torch.bool)
    for pair in combinations(range(len(tiles)), 2):
        if not (torch.maximum(*windows[list(pair), :2]) < torch.minimum(*windows[list(pair), 2:])).all():
            continue  # the tiles do not overlap
        one, other, iou = _meeting(boxes, labels, tile, windows, pair)
        if not iou.numel():
            continue
        best, best_other = iou.argmax(dim=1), iou.argmax(dim=0)
        match = (best_other[best] == torch.arange(len(one))) & (iou.amax(dim=1) > SAME_OBJECT)
        links.append(torch.stack([one[match], other[best[match]]], dim=1))
        alone, alone_other = one[~match], other[~torch.isin(other, other[best[match]])]
        dropped[alone[_is_covered(boxes, truncated, windows[pair[1]], alone, other, labels)]] = True
        dropped[alone_other[_is_covered(boxes, truncated, windows[pair[0]], alone_other, one, labels)]] = True
    merged, rows = _merge_linked(boxes, scores, truncated, torch.cat(links), ~dropped)
    order = scores[rows].argsort(descending=True, stable=True)[:max_detections]
    return {
        "boxes": merged[order].float(),
        "scores": scores[rows[order]],
        "labels": labels[rows[order]],
        "presence": torch.stack([output["presence"] for output in tiles]).max(),
    }


def _meeting(
    boxes: Tensor, labels: Tensor, tile: Tensor, windows: Tensor, pair: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of two tiles' boxes where both look, (a,) and (b,), and their IoU there (a, b)."""
    low, high = torch.maximum(*windows[list(pair), :2]), torch.minimum(*windows[list(pair), 2:])
    seen = torch.cat([torch.maximum(boxes[:, :2], low), torch.minimum(boxes[:, 2:], high)], dim=1)
    shown = (seen[:, 2:] > seen[:, :2]).all(dim=1)
    one, other = ((shown & (tile == number)).nonzero()[:, 0] for number in pair)
    same_class = labels[one][:, None] == labels[other]
    return one, other, box_iou(seen[one], seen[other]) * same_class


def _is_covered(
    boxes: Tensor, truncated: Tensor, window: Tensor, rows: Tensor, others: Tensor, labels: Tensor
) -> Tensor:
    """Tell which truncated boxes `rows` lie in the window of `others`, mostly under one of them, (a,) bool."""
    inside = (_distances(boxes[rows], window) >= -_tolerance(boxes[rows])).all(dim=1)
    area, other_area = box_area(boxes[rows])[:, None], box_area(boxes[others])[None]
    sides = torch.minimum(boxes[rows, None, 2:], boxes[others, 2:]) - torch.maximum(
        boxes[rows, None, :2], boxes[others, :2]
    )
    covered = sides.clamp(min=0).prod(dim=2) > SAME_OBJECT * area  # (a, b)
    better = (labels[rows][:, None] == labels[others]) & ((other_area > area) | ~truncated[others])
    hidden: Tensor = (covered & better).any(dim=1)
    return truncated[rows] & inside & hidden


def _merge_linked(
    boxes: Tensor, scores: Tensor, truncated: Tensor, links: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Return one box (m, 4) for each group of linked boxes, and the row (m,) whose score and class it has."""
    links = links[keep[links].all(dim=1)]
    graph = coo_array((torch.ones(len(links)).numpy(), tuple(links.T.numpy())), shape=(len(boxes), len(boxes)))
    groups = defaultdict(list)
    order = scores.argsort(descending=True, stable=True)
    group_of = connected_components(graph, directed=False)[1]
    for row in order[keep[order]].tolist():
        groups[group_of[row]].append(row)
    merged, rows = [boxes[:0]], []
    for group in groups.values():
        whole = [row for row in group if not truncated[row]]
        rows.append(whole[0] if whole else group[0])
        members = boxes[whole[:1] or group]
        merged.append(torch.cat([members[:, :2].amin(dim=0), members[:, 2:].amax(dim=0)])[None])
    return torch.cat(merged), torch.tensor(rows, dtype=torch.int64)


def _is_truncated(boxes: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Tell which boxes (n, 4) end at a border of their window (n, 4) inside the image, (n,) bool."""
    height, width = size
    is_inner = windows != windows.new_tensor([0, 0, width, height])
    return (is_inner & (_distances(boxes, windows) <= _tolerance(boxes))).any(dim=1)


def _distances(boxes: Tensor, windows: Tensor) -> Tensor:
    """Return (n, 4) pixels from each side of a box out to its window's."""
    return torch.cat([boxes[:, :2] - windows[..., :2], windows[..., 2:] - boxes[:, 2:]], dim=1)


def _tolerance(boxes: Tensor) -> Tensor:
    """Return (n, 4) pixels within which a side of a box ends at a border."""
    return (EDGE_SHARE * (boxes[:, 2:] - boxes[:, :2])).clamp(min=EDGE).repeat(1, 2)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return the tiles' starts, multiples of STRIDE, so that a pyramid's positions are those of the whole image."""
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [number * (length - tile) // STRIDE // steps * STRIDE for number in range(steps + 1)]
