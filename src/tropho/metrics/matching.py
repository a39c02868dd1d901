"""Which detection found which true box."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats, Ints, pair_iou, pairs_of_equal_key
from tropho.tables import BOX


@dataclass(frozen=True)
class Matches:
    """Both tables, with what became of each row.

    Attributes:
        detections: the predictions (index 0..n-1) with `hit` (bool), `truth_row` (-1 = none) and `overlap`
            (0..1).
        truths: the true boxes (index 0..m-1) with `hit` (bool) and `detection_row` (-1 = none).
    """

    detections: pd.DataFrame
    truths: pd.DataFrame


def match(truth: pd.DataFrame, predictions: pd.DataFrame, iou: float = 0.5) -> Matches:
    """Match detections to true boxes one to one, within image and class.

    As in COCO: detections choose by falling score (ties by row), each the free box that it overlaps most, if
    that overlap is at least `iou`. Boxes are half-open.

    Args:
        truth: columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS, without rows of a negative class.
        iou: least overlap of a hit, 0..1.
    """
    truths, detections = truth.reset_index(drop=True), predictions.reset_index(drop=True)
    rows, places, overlaps = close_pairs(detections, truths, ["image_id", "label"], iou)
    truth_row, overlap = np.full(len(detections), -1), np.zeros(len(detections))
    detection_row = np.full(len(truths), -1)
    rank = np.empty(len(detections), dtype=np.int64)
    rank[np.argsort(-detections["score"].to_numpy(np.float64), kind="stable")] = np.arange(len(detections))
    for pair in np.lexsort((places, -overlaps, rank[rows])):
        row, place = rows[pair], places[pair]
        if truth_row[row] < 0 and detection_row[place] < 0:
            truth_row[row], detection_row[place], overlap[row] = place, row, overlaps[pair]
    return Matches(
        detections.assign(hit=truth_row >= 0, truth_row=truth_row, overlap=overlap),
        truths.assign(hit=detection_row >= 0, detection_row=detection_row),
    )


def close_pairs(
    detections: pd.DataFrame, truths: pd.DataFrame, columns: list[str], iou: float
) -> tuple[Ints, Ints, Floats]:
    """Row of `detections`, row of `truths` and overlap of the pairs that are alike in `columns` and overlap so much.

    Args:
        detections: boxes, with `columns`.
        truths: likewise.
        columns: such as image_id, or image_id and label.
        iou: least overlap, 0..1; pairs that do not touch are never close.

    Returns:
        Three (P,) arrays, by row of `detections`, then of `truths`, both counted from 0.
    """
    keys = np.asarray(pd.concat([truths[columns], detections[columns]]).groupby(columns, sort=False).ngroup(), np.int64)
    found, box = detections[BOX].to_numpy(np.float64), truths[BOX].to_numpy(np.float64)
    parts = []
    for rows, places in pairs_of_equal_key(keys[len(truths) :], keys[: len(truths)]):
        overlaps = pair_iou(found[rows], box[places])
        near = (overlaps >= iou) & (overlaps > 0)
        parts.append((rows[near], places[near], overlaps[near]))
    rows, places, overlaps = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, places, overlaps
