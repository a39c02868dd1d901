"""Operations on boxes (N, 4) xyxy as NumPy arrays: overlap, near pairs, non-maximum suppression, test-time views."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tropho.config.predict_config import parse_view
from tropho.orientation import INVERSE, SYMMETRIES, turn_boxes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CANDIDATES = 2000  # detections of an image that enter non-maximum suppression
MIN_SIDE = 0.01  # pixels; detections that are no wider or no higher are dropped
MAX_PAIRS = 1_000_000  # pairs in memory at once, some 100 MB
BLOCK = 12_000  # candidate pairs that are tested at once; more would not fit the processor's cache
SLACK = 1e-9  # share by which limits are widened, so that rounding loses no candidate
UNBOUNDED = 1e15  # a reach in sides of a box; infinity times no width would be undefined


def pair_iou(first: Floats, second: Floats, pixel: float = 0.0) -> Floats:
    """Compute intersection over union (N,) of boxes (N, 4) xyxy row by row; 0 where both have no area.

    `pixel` is added to every width and height: 0 for half-open boxes, 1 where xmax is the last pixel inside.
    """
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]) + pixel  # (N, 2)
    inter: Floats = np.prod(np.maximum(sides, 0.0), axis=1)  # (N,)
    union: Floats = np.prod(first[:, 2:] - first[:, :2] + pixel, axis=1)
    union += np.prod(second[:, 2:] - second[:, :2] + pixel, axis=1)
    union -= inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def pairs_of_equal_key(left: Ints, right: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all (row of left, row of right) with equal keys, by left row, then right row.

    They come in blocks of about MAX_PAIRS; the pairs of a left row are in one block.
    """
    order = np.argsort(right, kind="stable")
    keys = right[order]
    starts = np.searchsorted(keys, left, side="left")
    counts = np.searchsorted(keys, left, side="right") - starts
    block = np.cumsum(counts) // MAX_PAIRS
    for rows in np.split(np.arange(len(left)), np.flatnonzero(np.diff(block)) + 1):
        yield np.repeat(rows, counts[rows]), order[_ranges(starts[rows], counts[rows])]


def nms(boxes: Floats, scores: Floats, group: Ints, iou: float) -> tuple[Ints, Floats]:
    """Suppress each box (N, 4) xyxy that overlaps a kept one of its group with a higher score by more than `iou`.

    Returns:
        Kept rows by descending score (of equal ones the first row is higher), and their scores.
    """
    order = np.argsort(-scores, kind="stable")
    later, earlier = candidate_pairs(boxes[order], group[order], iou)
    over = pair_iou(boxes[order[later]], boxes[order[earlier]]) > iou
    keep = np.ones(len(boxes), dtype=bool)
    for row, better in zip(later[over].tolist(), earlier[over].tolist(), strict=True):
        if keep[better]:
            keep[row] = False
    return order[keep], scores[order[keep]]


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return height and width of an image in a view of that scale, before padding."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def invert_boxes(boxes: Floats, view: str, height: int, width: int, stride: int = 1) -> Floats:
    """Map boxes (n, 4) xyxy from pixels of a test-time view to pixels of the images of `height` x `width`.

    A scaled view is padded to multiples of `stride` pixels.
    """
    symmetry, scale = parse_view(view)
    full, factors = (height, width), (1.0, 1.0)
    if scale != 1.0:
        resized = scaled_size(full, scale)
        factors = (resized[1] / width, resized[0] / height)
        full = (-(-resized[0] // stride) * stride, -(-resized[1] // stride) * stride)
    seen_height, seen_width = full[::-1] if SYMMETRIES[symmetry][0] else full
    return turn_boxes(boxes, INVERSE[symmetry], seen_width, seen_height) / np.tile(factors, 2).astype(boxes.dtype)


def candidate_pairs(boxes: Floats, group: Ints, iou: float) -> tuple[Ints, Ints]:
    """Find the pairs of a group that can both overlap one box by more than `iou`; the box may be one of them.

    1 - IoU obeys the triangle inequality, so the two overlap by more than 2 iou - 1. And if two boxes overlap by more
    than t, their centres are at most max(1 - t, (1 / t - 1) / 2) sides of either apart on each axis.

    Returns:
        (later, earlier) rows of each pair of boxes (N, 4) xyxy, by later row.
    """
    reach = max(1 - iou, (1 / iou - 1) / 2) + SLACK if iou > 0 else UNBOUNDED
    order, place, starts, counts = _strip_neighbours(boxes, group, reach)
    xmin, ymin, xmax, ymax = np.ascontiguousarray(boxes[order].T)
    width, height = xmax - xmin, ymax - ymin
    centre = [(xmin + xmax) / 2, (ymin + ymax) / 2]
    columns = [xmin, xmax, ymin, ymax, *centre, reach * width, reach * height, width * height]
    bounds = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum() + BLOCK, BLOCK), side="right")
    pairs = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for begin, end in pairwise(bounds):
        block = counts[begin:end]
        first, second = np.repeat(place[begin:end], block), _ranges(starts[begin:end], block)
        pairs.append(_near(columns, first, second, iou))
    first, second = (order[np.concatenate(rows)] for rows in zip(*pairs, strict=True))
    same = np.flatnonzero(group[first] == group[second])
    later, earlier = np.maximum(first, second)[same], np.minimum(first, second)[same]
    by_later = stable_order(later)
    return later[by_later], earlier[by_later]


def stable_order(numbers: Ints) -> Ints:
    """Return a stable argsort of numbers from 0; in the smallest type, for which NumPy sorts by radix."""
    return np.argsort(numbers.astype(np.min_scalar_type(numbers.max(initial=0))), kind="stable")


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """Concatenate the ranges start, start + 1, ... of `counts` integers each."""
    offsets: Ints = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return np.arange(len(offsets)) + offsets


def _near(columns: list[Floats], first: Ints, second: Ints, iou: float) -> tuple[Ints, Ints]:
    """Keep the pairs that fulfil the limits of `candidate_pairs`.

    `columns` are xmin, xmax, ymin, ymax, x and y of the centre, reach in x and in y, and area, (N,) each.
    """
    xmin, xmax, ymin, ymax, x, y, reach_x, reach_y, area = columns
    for centre, reach in ((y, reach_y), (x, reach_x)):
        keep = np.flatnonzero(np.abs(centre[first] - centre[second]) <= reach[first] + reach[second])
        first, second = first[keep], second[keep]  # by number, several times faster than by a mask
    if iou >= 0.5:
        inter = np.maximum(np.minimum(xmax[first], xmax[second]) - np.maximum(xmin[first], xmin[second]), 0.0)
        inter *= np.maximum(np.minimum(ymax[first], ymax[second]) - np.maximum(ymin[first], ymin[second]), 0.0)
        keep = np.flatnonzero(inter >= (2 * iou - 1 - SLACK) * (area[first] + area[second] - inter))
        first, second = first[keep], second[keep]
    return first, second


def _strip_neighbours(boxes: Floats, group: Ints, reach: float) -> tuple[Ints, Ints, Ints, Ints]:
    """Sort boxes into strips of y, by x, and pair those of the same or the next strip that are near in x.

    Returns:
        The order (N,); places in it (M,), and the range of places (start, count) that each pairs with. All pairs come
        once whose centres are at most `reach` sides of either apart, and some more.
    """
    if len(boxes) < 2:
        none = np.zeros(0, np.int64)
        return np.arange(len(boxes)), none, none, none
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    x, y = (centre - centre.min(axis=0)).T
    extent = np.array([x.max(), y.max()])
    # At most the extent, and strips not so thin that their numbers lose precision.
    far = np.minimum(2 * reach * size.max(axis=0), extent) + SLACK * extent + np.finfo(np.float64).tiny
    strip = np.floor(y / far[1]).astype(np.int64)
    span = extent[0] + 3 * far[0]  # strips lie end to end, too far apart to reach each other
    key = (group * (strip.max() + 2) + strip) * span + x
    order = np.argsort(key)
    key = key[order]
    radius = np.minimum(reach * (size[order, 0] + size[:, 0].max()) + SLACK * extent[0], far[0])
    radius += 4 * np.spacing(key[-1])
    starts = np.concatenate([np.arange(1, len(key) + 1), np.searchsorted(key, key + span - radius)])
    stops = np.concatenate([np.searchsorted(key, key + shift, side="right") for shift in (radius, span + radius)])
    place = np.arange(len(key))
    return order, np.concatenate([place, place]), starts, np.maximum(stops - starts, 0)
