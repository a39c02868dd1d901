"""Matching of detections with ground-truth boxes, and of detections with ignored regions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tropho.boxes.box_ops import Floats, Ints, pair_iou, pairs_of_equal_key
from tropho.tables import BOX

MIN_REGION_SHARE = 0.5  # share of a detection's area that puts it into an ignored region (COCO's rule for crowds)


@dataclass(frozen=True)
class Matches:
    """Both tables with the match of each row."""

    # the predictions (index 0..n-1) with `hit` (bool), `truth_row` (-1 = none) and `overlap` (0..1)
    detections: pd.DataFrame
    truths: pd.DataFrame  # the ground truth (index 0..m-1) with `hit` (bool) and `detection_row` (-1 = none)


def match(gt: pd.DataFrame, predictions: pd.DataFrame, iou: float = 0.5) -> Matches:
    """Match detections to ground-truth boxes one to one, within image and class, as COCO does.

    By descending score (ties by row), each takes the free box with the highest IoU, at least `iou`. Boxes are
    half-open. Predictions have no rows of a negative class.
    """
    truths, detections = gt.reset_index(drop=True), predictions.reset_index(drop=True)
    pred_idx, gt_idx, overlaps = close_pairs(detections, truths, ["image_id", "label"], iou)
    truth_row, overlap = np.full(len(detections), -1), np.zeros(len(detections))
    detection_row = np.full(len(truths), -1)
    rank = np.empty(len(detections), dtype=np.int64)
    rank[np.argsort(-detections["score"].to_numpy(np.float64), kind="stable")] = np.arange(len(detections))
    for pair in np.lexsort((gt_idx, -overlaps, rank[pred_idx])):
        row, place = pred_idx[pair], gt_idx[pair]
        if truth_row[row] < 0 and detection_row[place] < 0:
            truth_row[row], detection_row[place], overlap[row] = place, row, overlaps[pair]
    return Matches(
        detections.assign(hit=truth_row >= 0, truth_row=truth_row, overlap=overlap),
        truths.assign(hit=detection_row >= 0, detection_row=detection_row),
    )


def close_pairs(
    detections: pd.DataFrame, gt: pd.DataFrame, columns: list[str], iou: float
) -> tuple[Ints, Ints, Floats]:
    """Find the pairs of boxes with equal `columns` and at least this IoU; those that do not overlap are never a pair.

    Returns:
        Row of `detections`, row of `gt` (both from 0) and IoU, (P,) each, by row of `detections`, then of `gt`.
    """
    keys = np.asarray(pd.concat([gt[columns], detections[columns]]).groupby(columns, sort=False).ngroup(), np.int64)
    pred_boxes, gt_boxes = detections[BOX].to_numpy(np.float64), gt[BOX].to_numpy(np.float64)
    parts = []
    for pred_idx, gt_idx in pairs_of_equal_key(keys[len(gt) :], keys[: len(gt)]):
        overlaps = pair_iou(pred_boxes[pred_idx], gt_boxes[gt_idx])
        keep = (overlaps >= iou) & (overlaps > 0)
        parts.append((pred_idx[keep], gt_idx[keep], overlaps[keep]))
    pred_idx, gt_idx, overlaps = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pred_idx, gt_idx, overlaps


def drop_ignored(detections: pd.DataFrame, gt: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Drop unmatched detections that lie mostly in an ignored region of their image.

    Regions are tables.BOXES, as are the objects `gt`. Rows of a negative class have no area and stay.
    """
    inside = _in_regions(detections, regions)
    if not inside.any():
        return detections
    hit: NDArray[np.bool_] = match(gt, detections).detections["hit"].to_numpy(np.bool_)
    return detections[~inside | hit].reset_index(drop=True)


def _in_regions(detections: pd.DataFrame, regions: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which detections lie mostly in a region, (N,) bool."""
    inside = np.zeros(len(detections), bool)
    codes = pd.factorize(pd.concat([regions["image_id"], detections["image_id"]]))[0].astype(np.int64)
    pred_boxes, region_boxes = detections[BOX].to_numpy(np.float64), regions[BOX].to_numpy(np.float64)
    for rows, region_idx in pairs_of_equal_key(codes[len(regions) :], codes[: len(regions)]):
        box, region = pred_boxes[rows], region_boxes[region_idx]
        sides = np.minimum(box[:, 2:], region[:, 2:]) - np.maximum(box[:, :2], region[:, :2])
        area = np.prod(box[:, 2:] - box[:, :2], axis=1)
        inside[rows] |= (np.prod(sides.clip(min=0), axis=1) >= MIN_REGION_SHARE * area) & (area > 0)
    return inside
