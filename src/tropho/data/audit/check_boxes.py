"""What is wrong with boxes: outside the image, without area, too thin."""

from typing import Any

import numpy as np
import pandas as pd

from tropho.data.formats.labels import IssueLog
from tropho.tables import BOX

MIN_BOX_SIZE = 1.0
"""Pixels; boxes thinner than this are dropped and listed."""


def clip_boxes(boxes: pd.DataFrame, sizes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Boxes cut to their image, those without enough left dropped; every change is listed.

    Args:
        boxes: formats.labels.LABELLED_BOXES.
        sizes: width and height in pixels by image_id; without a size, a box is only checked for area.
        log: gets an issue for every box that is changed or dropped.
    """
    kept = _drop(boxes, (_width(boxes) <= 0) | (_height(boxes) <= 0), "zero_area", "has no area", log)
    size = sizes.reindex(kept["image_id"])[["width", "height"]].to_numpy("float64", na_value=np.inf)
    before = kept[BOX].to_numpy("float64")
    after = within(before, size)
    outside = (after[:, 2] <= after[:, 0]) | (after[:, 3] <= after[:, 1])
    changed = (before != after).any(axis=1) & ~outside
    for box, cut, limit in zip(kept[changed].itertuples(), after[changed], size[changed], strict=True):
        detail = f"{text(box)} reaches over the {limit[0]:g}x{limit[1]:g} image; cut to {corners_text(cut)}."
        log.add("clipped", "clipped", detail, box.image_id, box.file, box.row)
    kept = _drop(kept, outside, "outside", "is outside the image", log)
    kept = kept.assign(**dict(zip(BOX, after[~outside].T, strict=True)))
    thin = (_width(kept) < MIN_BOX_SIZE) | (_height(kept) < MIN_BOX_SIZE)
    return _drop(kept, thin, "too_small", f"is thinner than {MIN_BOX_SIZE:g} px", log)


def within(boxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy boxes within images of (N, 2) width and height in pixels; a size that is unknown is infinite."""
    low = np.where(np.isfinite(size[:, :1]), 0.0, -np.inf)
    return np.clip(boxes, low, np.concatenate([size, size], axis=1))


def box_iou(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) half-open xyxy boxes -> (N, N) intersection over union; 0 where neither box has area."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    union = area[:, None] + area[None, :] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _drop(boxes: pd.DataFrame, which: pd.Series | np.ndarray, kind: str, reason: str, log: IssueLog) -> pd.DataFrame:
    for box in boxes[which].itertuples():
        log.add(kind, "dropped", f"{text(box)} {reason}.", box.image_id, box.file, box.row)
    return boxes[~which]


def _width(boxes: pd.DataFrame) -> pd.Series:
    return boxes["xmax"] - boxes["xmin"]


def _height(boxes: pd.DataFrame) -> pd.Series:
    return boxes["ymax"] - boxes["ymin"]


def text(box: Any) -> str:
    """A row with label and corners, in words."""
    return f"The {box.label} box {corners_text([getattr(box, name) for name in BOX])}"


def corners_text(values: list[float] | np.ndarray) -> str:
    """Corners in reading order."""
    xmin, ymin, xmax, ymax = values
    return f"x {xmin:g} to {xmax:g}, y {ymin:g} to {ymax:g}"
