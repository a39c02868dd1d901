"""Objects that were marked twice: same-class boxes of an image that overlap, listed or merged."""

import numpy as np
import pandas as pd

from tropho.data.audit.check_boxes import box_iou, corners_text, text
from tropho.data.formats.labels import IssueLog
from tropho.tables import BOX

Pair = tuple[int, int, float]
"""Positions of two boxes in their table, the earlier first, and their IoU."""


def resolve_duplicate_boxes(
    boxes: pd.DataFrame, iou: float, merge: bool, log: IssueLog
) -> tuple[pd.DataFrame, tuple[int, int]]:
    """List same-class boxes of an image that overlap with at least `iou`; merge them if asked to.

    Ignored regions double nothing.

    Boxes are merged that all overlap each other so much (complete linkage: a chain of neighbours is not one
    object). Their mean takes the place of the first: where annotators differ at random it errs least.

    Args:
        boxes: formats.labels.LABELLED_BOXES.
        iou: least overlap, of half-open boxes (width = xmax - xmin).
        merge: whether to merge.
        log: gets an issue for every pair.

    Returns:
        The boxes, and counts (pairs, images).
    """
    pairs = _overlapping_pairs(boxes, iou)
    cluster = _clusters(boxes, pairs, iou) if merge else np.arange(len(boxes))
    for first, second, overlap in pairs:
        earlier, later = boxes.iloc[first], boxes.iloc[second]
        where = f" in row {earlier['row']}" if pd.notna(earlier["row"]) else ""
        detail = f"{text(later)} doubles the {corners_text(earlier[BOX].to_list())}{where} (IoU {overlap:.2f})."
        action = "merged" if cluster[first] == cluster[second] else "listed"
        log.add("double_box", action, detail, later["image_id"], later["file"], later["row"])
    counts = len(pairs), int(boxes["image_id"].iloc[[second for _, second, _ in pairs]].nunique())
    if not merge or not pairs:
        return boxes, counts
    return _averaged(boxes, cluster)[cluster == np.arange(len(boxes))], counts


def merged_in_place(boxes: pd.DataFrame, iou: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Give every box the corners of `resolve_duplicate_boxes`, and (N,) the position of the first that it joins."""
    cluster = _clusters(boxes, _overlapping_pairs(boxes, iou), iou)
    return _averaged(boxes, cluster), cluster


def _averaged(boxes: pd.DataFrame, cluster: np.ndarray) -> pd.DataFrame:
    mean = boxes[BOX].groupby(cluster).transform("mean")
    return boxes.assign(**{side: mean[side] for side in BOX})


def _overlapping_pairs(boxes: pd.DataFrame, iou: float) -> list[Pair]:
    corners = boxes[BOX].to_numpy("float64")
    single = ~boxes["ignore"].fillna(False).to_numpy(bool) if "ignore" in boxes else np.ones(len(boxes), bool)
    found = []
    for same in boxes.groupby(["image_id", "label"]).indices.values():
        members = np.asarray(same)[single[same]]
        if len(members) > 1:
            overlap = np.triu(box_iou(corners[members]), 1)
            for first, second in zip(*np.nonzero(overlap >= iou), strict=True):
                found.append((int(members[first]), int(members[second]), float(overlap[first, second])))
    return found


def _clusters(boxes: pd.DataFrame, pairs: list[Pair], iou: float) -> np.ndarray:
    """The position of the first box of each box's cluster, (N,)."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    first_of = np.arange(len(boxes))
    doubled = boxes.iloc[sorted({place for first, second, _ in pairs for place in (first, second)})]
    places = pd.Series(first_of, index=boxes.index)
    for members in doubled.groupby(["image_id", "label"]).groups.values():
        own = places[members].to_numpy()
        apart = 1 - box_iou(boxes[BOX].to_numpy("float64")[own])
        np.fill_diagonal(apart, 0)
        labels = fcluster(linkage(squareform(apart, checks=False), "complete"), 1 - iou + 1e-12, "distance")
        for label in np.unique(labels):
            first_of[own[labels == label]] = own[labels == label].min()
    return first_of
