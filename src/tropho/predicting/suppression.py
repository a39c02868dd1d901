"""Non-maximum suppression: of boxes that overlap, the best stays, or the others lose confidence."""

from heapq import heapify, heappop, heappush

import numpy as np

from tropho.metrics.overlap import Floats, Ints, pair_iou
from tropho.predicting.near import near_pairs


def nms(boxes: Floats, scores: Floats, group: Ints, iou: float) -> tuple[Ints, Floats]:
    """Keep a box unless it overlaps a better one that is kept by more than `iou`.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,); ties go by row.
        group: (N,) integers; boxes of different groups never meet.
        iou: 0..1.

    Returns:
        Rows that are kept, by falling score, and their scores.
    """
    order = np.argsort(-scores, kind="stable")
    later, earlier = near_pairs(boxes[order], group[order], iou)
    over = pair_iou(boxes[order[later]], boxes[order[earlier]]) > iou
    keep = np.ones(len(boxes), dtype=bool)
    for row, better in zip(later[over].tolist(), earlier[over].tolist(), strict=True):
        if keep[better]:
            keep[row] = False
    return order[keep], scores[order[keep]]


def soft_nms(boxes: Floats, scores: Floats, group: Ints, iou: float, score_min: float = 0.001) -> tuple[Ints, Floats]:
    """Take the best box again and again, and lower the scores of what overlaps it (Bodla et al. 2017, linear).

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,); ties go by row.
        group: (N,) integers; boxes of different groups never meet.
        iou: scores are multiplied by 1 - overlap where that is more than this, 0..1.
        score_min: boxes that sink below are left out.

    Returns:
        Rows that are left, by falling lowered score, and those scores.
    """
    later, earlier = near_pairs(boxes, group, iou)
    overlap = pair_iou(boxes[later], boxes[earlier])
    over = overlap > iou
    rivals: dict[int, list[tuple[int, float]]] = {}
    for one, other, factor in zip(
        later[over].tolist(), earlier[over].tolist(), (1 - overlap[over]).tolist(), strict=True
    ):
        rivals.setdefault(one, []).append((other, factor))
        rivals.setdefault(other, []).append((one, factor))
    lowered = scores.tolist()
    waiting = [(-lowered[row], row) for row in rivals]
    heapify(waiting)
    while waiting:
        score, row = heappop(waiting)
        if row not in rivals or -score != lowered[row]:
            continue  # taken, or lowered since
        for other, factor in rivals.pop(row):
            if other in rivals:
                lowered[other] *= factor
                heappush(waiting, (-lowered[other], other))
    final = np.asarray(lowered, dtype=np.float64)
    order = np.argsort(-final, kind="stable")
    order = order[final[order] >= score_min]
    return order, final[order]
