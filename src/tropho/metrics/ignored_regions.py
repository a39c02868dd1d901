"""Ignored regions (crowds): what is found in them is neither right nor wrong."""

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import pairs_of_equal_key
from tropho.metrics.matching import match
from tropho.tables import BOX

MOST_INSIDE = 0.5
"""A detection belongs to a region that holds at least this share of its area (COCO's rule for crowds)."""


def drop_ignored(detections: pd.DataFrame, truth: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Leave out detections that lie mostly in an ignored region of their image and hit no object.

    Args:
        detections: tables.DETECTIONS; rows of a negative class have no area and stay.
        truth: boxes of objects, tables.BOXES.
        regions: ignored regions, tables.BOXES.
    """
    inside = _inside(detections, regions)
    if not inside.any():
        return detections
    hit = match(truth, detections).detections["hit"].to_numpy(bool)
    return detections[~inside | hit].reset_index(drop=True)


def _inside(detections: pd.DataFrame, regions: pd.DataFrame) -> np.ndarray:
    """Whether each detection lies mostly in a region, (N,) bool."""
    inside = np.zeros(len(detections), bool)
    codes = pd.factorize(pd.concat([regions["image_id"], detections["image_id"]]))[0].astype(np.int64)
    boxes, others = detections[BOX].to_numpy(np.float64), regions[BOX].to_numpy(np.float64)
    for rows, places in pairs_of_equal_key(codes[len(regions) :], codes[: len(regions)]):
        box, region = boxes[rows], others[places]
        shared = np.minimum(box[:, 2:], region[:, 2:]) - np.maximum(box[:, :2], region[:, :2])
        area = np.prod(box[:, 2:] - box[:, :2], axis=1)
        inside[rows] |= (np.prod(shared.clip(min=0), axis=1) >= MOST_INSIDE * area) & (area > 0)
    return inside
