"""Which boxes of one table meet which boxes of another, and how much they overlap."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PAIRS_AT_ONCE = 1_000_000  # bounds memory to some 100 MB however many boxes there are


def pair_iou(first: Floats, second: Floats, pixel: float = 0.0) -> Floats:
    """Intersection over union of boxes row by row.

    Args:
        first: (N, 4) boxes xmin, ymin, xmax, ymax.
        second: (N, 4) boxes.
        pixel: added to every width and height: 0 for half-open boxes, 1 where xmax is the last pixel inside.

    Returns:
        (N,) overlaps in 0..1; 0 where both boxes have no area.
    """
    inner = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]) + pixel
    shared = np.prod(np.maximum(inner, 0.0), axis=1)
    union = np.prod(first[:, 2:] - first[:, :2] + pixel, axis=1)
    union += np.prod(second[:, 2:] - second[:, :2] + pixel, axis=1)
    union -= shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def ranges(starts: Ints, counts: Ints) -> Ints:
    """The integers start, start + 1, ... (count of them) for every row, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


def pairs_of_equal_key(left: Ints, right: Ints) -> Iterator[tuple[Ints, Ints]]:
    """All (row of left, row of right) with the same key, by left row, then right row.

    They come in blocks of about `PAIRS_AT_ONCE`; a left row's pairs are never spread over two blocks.
    """
    order = np.argsort(right, kind="stable")
    keys = right[order]
    starts = np.searchsorted(keys, left, side="left")
    counts = np.searchsorted(keys, left, side="right") - starts
    block = np.cumsum(counts) // PAIRS_AT_ONCE
    for rows in np.split(np.arange(len(left)), np.flatnonzero(np.diff(block)) + 1):
        yield np.repeat(rows, counts[rows]), order[ranges(starts[rows], counts[rows])]
