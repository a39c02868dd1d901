"""Non-maximum suppression: of boxes that overlap, the best stays."""

import numpy as np

from tropho.boxes.candidate_pairs import candidate_pairs
from tropho.boxes.iou_pairs import Floats, Ints, pair_iou


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
    later, earlier = candidate_pairs(boxes[order], group[order], iou)
    over = pair_iou(boxes[order[later]], boxes[order[earlier]]) > iou
    keep = np.ones(len(boxes), dtype=bool)
    for row, better in zip(later[over].tolist(), earlier[over].tolist(), strict=True):
        if keep[better]:
            keep[row] = False
    return order[keep], scores[order[keep]]
