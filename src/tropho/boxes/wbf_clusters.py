"""Weighted box fusion's clusters, found for all boxes of all images at once.

Fusion is defined one box after another: by falling score, each joins the cluster whose fused box it overlaps most, or
founds one, and the fused box moves. But a box is moved only by what is near it. So boxes whose near, earlier boxes
are all done can be done together: some tens of vectorised rounds in place of thousands of steps.

Why near pairs (near.py) are enough: let F be a cluster's box after its member m had joined. Each side of F lies
between that of m and that of F before, so F overlaps m no less than F before did, which was more than the limit. A
box that can join F, or another that can join it first, thus shares with m, and with each other, a third box that
they overlap by more than the limit: F.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tropho.boxes.candidate_pairs import candidate_pairs, stable_order
from tropho.boxes.iou_pairs import Floats, Ints

LEAST = 1e-300  # boxes of score 0 are weighed by this, so that a mean of them alone is defined


@dataclass(frozen=True)
class Clusters:
    """The clusters of N boxes.

    Attributes:
        root: (N,) the first box of each box's cluster.
        last: (C,) the last box of each cluster, in order of the first ones.
        fused: (N, 4) the cluster's box as it was when this box had joined.
    """

    root: Ints
    last: Ints
    fused: Floats


def find_clusters(boxes: Floats, scores: Floats, group: Ints, iou: float) -> Clusters:
    """Cluster the boxes of each group (image and class), in their order.

    Args:
        boxes: (N, 4) xyxy with an area, the boxes of each group by falling score.
        scores: (N,) weights of the boxes in their cluster's mean.
        group: (N,) numbers 0, 1, ...; boxes of different groups never meet.
        iou: a box joins a cluster if they overlap more than this.
    """
    count = len(boxes)
    root, following = np.arange(count), np.full(count, count)  # a cluster is a chain of its members
    fused = np.array(boxes.T, order="C")  # (4, N): numpy is fast along the last axis
    weight = np.maximum(scores, LEAST)
    sums = np.vstack([fused * weight, weight])  # (5, N), of the cluster up to each box
    later, earlier, rounds = _rounds(*candidate_pairs(boxes, group, iou), count)
    joining = fused.take(later, axis=1)
    for pairs, starts, counts in rounds:
        new, old = later[pairs], earlier[pairs]
        overlap = _overlap(joining[:, pairs], fused.take(old, axis=1))
        overlap *= following[old] > new  # else the cluster has moved on from there
        best = np.maximum.reduceat(overlap, starts)
        joins = best > iou
        chosen = np.flatnonzero(overlap == np.repeat(np.where(joins, best, -1.0), counts))
        new, old = new[chosen], old[chosen]
        if len(chosen) > np.count_nonzero(joins):
            new, old = _oldest_cluster(new, old, root)
        root[new], following[old] = root[old], new
        merged = sums.take(new, axis=1) + sums.take(old, axis=1)
        sums[:, new], fused[:, new] = merged, merged[:4] / merged[4]
    last = np.flatnonzero(following == count)
    return Clusters(root, last[np.argsort(root[last])], fused.T)


def _rounds(later: Ints, earlier: Ints, count: int) -> tuple[Ints, Ints, list[tuple[slice, Ints, Ints]]]:
    """Deal pairs into rounds, so that a box's turn comes when all its near, earlier ones are done.

    Returns:
        The pairs by round, then later row; and for each round its slice of them, and in that slice where each later
        row's run starts and how long it is.
    """
    level = np.zeros(count, np.int64)  # the round of each box: one after the last of its near, earlier ones
    open_later, open_earlier, done = later, earlier, 0
    reached = level[earlier]
    while len(open_later):
        level[open_later[np.flatnonzero(reached == done)]] = done + 1
        reached = level[open_earlier]
        undone = np.flatnonzero(reached > done)
        open_later, open_earlier, reached = open_later[undone], open_earlier[undone], reached[undone]
        done += 1
    order = stable_order(level[later])
    later, earlier = later[order], earlier[order]
    starts = np.flatnonzero(np.diff(later, prepend=-1))
    counts = np.diff(starts, append=len(later))
    bounds = np.searchsorted(level[later[starts]], np.arange(1, done + 2))
    rounds = []
    for first, end in pairwise(bounds.tolist()):
        begin, stop = starts[first], starts[end - 1] + counts[end - 1]
        rounds.append((slice(begin, stop), starts[first:end] - begin, counts[first:end]))
    return later, earlier, rounds


def _overlap(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union (P,) of boxes (4, P) that have an area, column by column."""
    inner = np.minimum(boxes[2:], others[2:])
    inner -= np.maximum(boxes[:2], others[:2])
    np.maximum(inner, 0.0, out=inner)
    shared = inner[0] * inner[1]
    sizes, other_sizes = boxes[2:] - boxes[:2], others[2:] - others[:2]
    return shared / (sizes[0] * sizes[1] + other_sizes[0] * other_sizes[1] - shared)


def _oldest_cluster(new: Ints, old: Ints, root: Ints) -> tuple[Ints, Ints]:
    """Of several clusters that a box overlaps alike, the one that was founded first."""
    order = np.lexsort((root[old], new))
    first = np.flatnonzero(np.diff(new[order], prepend=-1))
    return new[order][first], old[order][first]
