"""Repair boxes: clip those that leave their image, drop those without area, list or merge those drawn twice."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage

from tropho.boxes.box_ops import pair_iou
from tropho.data.formats.labels import IssueLog
from tropho.tables import BOX

MIN_BOX_SIZE = 1.0  # pixels; thinner boxes are dropped and listed


def clip_boxes(boxes: pd.DataFrame, sizes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Clip boxes (LABELLED_BOXES) to their image and drop those of which too little is left; log each.

    `sizes` has width and height in pixels by image_id; boxes of an unknown size are only checked for area.
    """
    boxes = _drop(boxes, _sides(boxes).min(axis=1) <= 0, "zero_area", "has no area", log)
    size = sizes.reindex(boxes["image_id"])[["width", "height"]].to_numpy("float64", na_value=np.inf)
    before = boxes[BOX].to_numpy("float64")
    after = clip_corners(before, size)
    outside = (after[:, 2] <= after[:, 0]) | (after[:, 3] <= after[:, 1])
    changed = (before != after).any(axis=1) & ~outside
    for box, corners, limit in zip(boxes[changed].itertuples(), after[changed], size[changed], strict=True):
        detail = f"{box_text(box)} reaches over the {limit[0]:g}x{limit[1]:g} image; cut to {corners_text(corners)}."
        log.add("clipped", "clipped", detail, box.image_id, box.file, box.row)
    boxes = _drop(boxes, outside, "outside", "is outside the image", log)
    boxes = boxes.assign(**dict(zip(BOX, after[~outside].T, strict=True)))
    thin = _sides(boxes).min(axis=1) < MIN_BOX_SIZE
    return _drop(boxes, thin, "too_small", f"is thinner than {MIN_BOX_SIZE:g} px", log)


def clip_corners(boxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Clip (N, 4) xyxy boxes to images of (N, 2) width and height in pixels; unknown sizes are infinite."""
    low = np.where(np.isfinite(size[:, :1]), 0.0, -np.inf)
    return np.clip(boxes, low, np.concatenate([size, size], axis=1))  # (N, 2) -> (N, 4)


def resolve_duplicate_boxes(
    boxes: pd.DataFrame, iou: float, merge: bool, log: IssueLog
) -> tuple[pd.DataFrame, tuple[int, int]]:
    """List same-class boxes (LABELLED_BOXES) of an image whose half-open IoU is at least `iou`; merge them if asked to.

    The mean of boxes that all overlap each other (complete linkage) takes the place of the first. Ignored regions
    duplicate nothing. Returns the boxes, and counts (pairs, images).
    """
    pairs = _overlapping_pairs(boxes, iou)
    first_of = _clusters(boxes, pairs, iou) if merge else np.arange(len(boxes))
    for first, second, overlap in pairs:
        earlier, later = boxes.iloc[first], boxes.iloc[second]
        where = f" in row {earlier['row']}" if pd.notna(earlier["row"]) else ""
        same = f"{corners_text(earlier[BOX].to_list())}{where} (IoU {overlap:.2f})"
        detail = f"{box_text(later)} may be the same object as {same}."
        action = "merged" if first_of[first] == first_of[second] else "listed"
        log.add("double_box", action, detail, later["image_id"], later["file"], later["row"])
    counts = len(pairs), int(boxes["image_id"].iloc[[second for _, second, _ in pairs]].nunique())
    if not merge or not pairs:
        return boxes, counts
    mean = boxes[BOX].groupby(first_of).transform("mean")
    return boxes.assign(**{side: mean[side] for side in BOX})[first_of == np.arange(len(boxes))], counts


def box_text(box: Any) -> str:
    """Return label and corners of a row in words."""
    return f"The {box.label} box {corners_text([getattr(box, name) for name in BOX])}"


def corners_text(corners: list[float] | np.ndarray) -> str:
    """Return xyxy corners in words."""
    xmin, ymin, xmax, ymax = corners
    return f"x {xmin:g} to {xmax:g}, y {ymin:g} to {ymax:g}"


def _sides(boxes: pd.DataFrame) -> np.ndarray:
    """Return width and height, (N, 2) float64."""
    corners = boxes[BOX].to_numpy("float64")
    return corners[:, 2:] - corners[:, :2]


def _drop(boxes: pd.DataFrame, mask: np.ndarray, kind: str, reason: str, log: IssueLog) -> pd.DataFrame:
    log.add_boxes(boxes[mask], kind, "dropped", lambda box: f"{box_text(box)} {reason}.")
    return boxes[~mask]


def _overlapping_pairs(boxes: pd.DataFrame, iou: float) -> list[tuple[int, int, float]]:
    """Find same-class pairs of an image: (row, later row, IoU)."""
    corners = boxes[BOX].to_numpy("float64")
    is_object = ~boxes["ignore"].fillna(False).to_numpy(bool) if "ignore" in boxes else np.ones(len(boxes), bool)
    objects = np.flatnonzero(is_object)
    pairs = []
    for _, first, second in _pairs_by_class(boxes, objects):
        overlap = pair_iou(corners[first], corners[second])
        pairs += [(int(first[k]), int(second[k]), float(overlap[k])) for k in np.flatnonzero(overlap >= iou)]
    return pairs


def _pairs_by_class(boxes: pd.DataFrame, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows of an image and class, (n,), with the first and second row of every pair, (n (n - 1) / 2,) each."""
    for members in boxes.iloc[rows].groupby(["image_id", "label"]).indices.values():
        own = rows[np.asarray(members)]
        yield own, *own[np.array(np.triu_indices(len(own), 1))]


def _clusters(boxes: pd.DataFrame, pairs: list[tuple[int, int, float]], iou: float) -> np.ndarray:
    """Return the row of the first box of each box's cluster, (N,) int64."""
    corners = boxes[BOX].to_numpy("float64")
    first_of = np.arange(len(boxes))
    duplicated = np.array(sorted({row for first, second, _ in pairs for row in (first, second)}), dtype=np.int64)
    for rows, first, second in _pairs_by_class(boxes, duplicated):
        distance = 1 - pair_iou(corners[first], corners[second])
        labels = fcluster(linkage(distance, "complete"), 1 - iou + 1e-12, "distance")
        for label in np.unique(labels):
            first_of[rows[labels == label]] = rows[labels == label].min()
    return first_of
