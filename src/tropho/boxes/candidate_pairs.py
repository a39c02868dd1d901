"""Which boxes are near each other: every pair that could overlap enough to matter, found without trying all."""

from itertools import pairwise

import numpy as np

from tropho.boxes.iou_pairs import Floats, Ints, ranges

SLACK = 1e-9  # rounding must not lose a near pair
UNBOUNDED = 1e15  # sides of a box; infinity times no width would be undefined
BLOCK = 12_000  # candidates that are looked at together; more would not fit the processor's cache


def candidate_pairs(boxes: Floats, group: Ints, iou: float) -> tuple[Ints, Ints]:
    """Every two boxes of a group that can overlap one and the same third box by more than `iou` each.

    The third may be any box, also one of the two. The distance 1 - overlap obeys the triangle inequality, so the
    two overlap by more than 2 iou - 1. That says nothing below iou = 0.5; there, and to have few pairs to look at:
    the centres of two boxes that overlap by more than t are, along each axis, at most max(1 - t, (1 / t - 1) / 2)
    sides of either apart.

    Args:
        boxes: (N, 4) xyxy with an area.
        group: (N,) numbers 0, 1, ...
        iou: 0..1.

    Returns:
        (later, earlier) rows of each pair, by later row.
    """
    reach = max(1 - iou, (1 / iou - 1) / 2) + SLACK if iou > 0 else UNBOUNDED
    order, place, starts, counts = _neighbours_in_strips(boxes, group, reach)
    xmin, ymin, xmax, ymax = np.ascontiguousarray(boxes[order].T)
    width, height = xmax - xmin, ymax - ymin
    middle = [(xmin + xmax) / 2, (ymin + ymax) / 2]
    columns = [xmin, xmax, ymin, ymax, *middle, reach * width, reach * height, width * height]
    blocks = np.arange(0, counts.sum() + BLOCK, BLOCK)
    bounds = np.searchsorted(np.cumsum(counts), blocks, side="right")
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for begin, end in pairwise(bounds):
        block = counts[begin:end]
        first, second = np.repeat(place[begin:end], block), ranges(starts[begin:end], block)
        found.append(_close(columns, first, second, iou))
    first, second = (order[np.concatenate(each)] for each in zip(*found, strict=True))
    same = np.flatnonzero(group[first] == group[second])
    later, earlier = np.maximum(first, second)[same], np.minimum(first, second)[same]
    by_later = stable_order(later)
    return later[by_later], earlier[by_later]


def _close(columns: list[Floats], first: Ints, second: Ints, iou: float) -> tuple[Ints, Ints]:
    """Those pairs of boxes that are near each other, as `candidate_pairs` has it.

    `columns` are xmin, xmax, ymin, ymax, x and y of the centre, how far it reaches in x and in y, and the area.
    """
    xmin, xmax, ymin, ymax, x, y, reach_x, reach_y, area = columns
    for middle, reach in ((y, reach_y), (x, reach_x)):
        near = np.flatnonzero(np.abs(middle[first] - middle[second]) <= reach[first] + reach[second])
        first, second = first[near], second[near]  # by number, which is several times faster than by a mask
    if iou >= 0.5:
        shared = np.maximum(np.minimum(xmax[first], xmax[second]) - np.maximum(xmin[first], xmin[second]), 0.0)
        shared *= np.maximum(np.minimum(ymax[first], ymax[second]) - np.maximum(ymin[first], ymin[second]), 0.0)
        near = np.flatnonzero(shared >= (2 * iou - 1 - SLACK) * (area[first] + area[second] - shared))
        first, second = first[near], second[near]
    return first, second


def stable_order(numbers: Ints) -> Ints:
    """Stable argsort of numbers from 0 up; in the smallest type, where numpy sorts by radix."""
    return np.argsort(numbers.astype(np.min_scalar_type(numbers.max(initial=0))), kind="stable")


def _neighbours_in_strips(boxes: Floats, group: Ints, reach: float) -> tuple[Ints, Ints, Ints, Ints]:
    """Sort boxes into strips of y, by x; pair those of a group in the same or the next strip that are near in x.

    Returns:
        The order (N,); places in it (M,), and for each the range of places (start, count) that it pairs with. Each
        pair comes once; all are there whose centres are at most `reach` sides of either apart, and some more.
    """
    nothing = np.zeros(0, np.int64)
    if len(boxes) < 2:
        return np.arange(len(boxes)), nothing, nothing, nothing
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    x, y = (centre - centre.min(axis=0)).T
    extent = np.array([x.max(), y.max()])
    # No further than there are boxes; and strips not so thin that their numbers get coarse.
    far = np.minimum(2 * reach * size.max(axis=0), extent) + SLACK * extent + np.finfo(np.float64).tiny
    strip = np.floor(y / far[1]).astype(np.int64)
    span = extent[0] + 3 * far[0]  # strips lie end to end, too far apart to reach each other
    key = (group * (strip.max() + 2) + strip) * span + x
    order = np.argsort(key)
    key = key[order]
    mine = np.minimum(reach * (size[order, 0] + size[:, 0].max()) + SLACK * extent[0], far[0])
    mine += 4 * np.spacing(key[-1])
    starts = np.concatenate([np.arange(1, len(key) + 1), np.searchsorted(key, key + span - mine)])
    stops = np.concatenate([np.searchsorted(key, key + shift, side="right") for shift in (mine, span + mine)])
    place = np.arange(len(key))
    return order, np.concatenate([place, place]), starts, np.maximum(stops - starts, 0)
