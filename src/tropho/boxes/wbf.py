"""Boxes of several models or views for the same images made one: weighted fusion, and suppression.

Weighted box fusion is that of Solovyev et al. (2021) and equals their `ensemble-boxes`, but for boxes in pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.boxes.iou_pairs import Floats, Ints
from tropho.boxes.nms import nms
from tropho.boxes.wbf_clusters import find_clusters
from tropho.tables import BOX, DETECTIONS, conform

Confidence = Literal["avg", "max"]
Method = Literal["wbf", "nms"]

Weight = float | Mapping[str, float]
"""For all classes, or by class."""

ROWS_AT_ONCE = 200_000  # boxes that are fused in one go; bounds memory


class Boxes(NamedTuple):
    """Boxes (N, 4) xyxy, scores (N,) and labels (N,), by falling score."""

    boxes: Floats
    scores: Floats
    labels: Ints


def weighted_box_fusion(
    models: list[tuple[ArrayLike, ArrayLike, ArrayLike]],
    iou: float = 0.55,
    weights: ArrayLike | None = None,
    score_min: float = 0.0,
    confidence: Confidence = "avg",
) -> Boxes:
    """Fuse the boxes of several models for one image, class by class.

    By falling score, each box joins the fused box that it overlaps most, or founds one; a fused box is its members'
    mean, weighted by score.

    Args:
        models: for each model boxes (n, 4) xyxy in any unit, scores (n,) and integer labels (n,); any may be empty.
            Boxes without an area are left out.
        iou: a box joins a fused box if they overlap more than this, 0..1.
        weights: how much each model counts; None = alike.
        score_min: boxes with less are left out.
        confidence: the score of a fused box. avg: the members' mean, less where models are missing; max: the best
            member's.
    """
    boxes = np.concatenate([np.asarray(each[0], np.float64).reshape(-1, 4) for each in models] or [np.zeros((0, 4))])
    scores = np.concatenate([np.asarray(each[1], np.float64).ravel() for each in models] or [np.zeros(0)])
    labels = np.concatenate([np.asarray(each[2]).ravel() for each in models] or [np.zeros(0)]).astype(np.int64)
    model = np.repeat(np.arange(len(models)), [np.size(each[1]) for each in models])
    weight = np.ones(len(models)) if weights is None else np.asarray(weights, np.float64)
    keep = scores >= score_min
    boxes, scores, labels, model = boxes[keep], scores[keep], labels[keep], model[keep]
    fused, confidences, groups = _fuse_groups(boxes, scores, labels, model, weight, iou, confidence)
    order = np.argsort(confidences)[::-1]
    return Boxes(fused[order], confidences[order], groups[order])


def fuse(
    tables: list[pd.DataFrame],
    iou: float | Mapping[str, float] = 0.55,
    weights: Sequence[Weight] | None = None,
    method: Method = "wbf",
    negative: str | None = None,
) -> pd.DataFrame:
    """Fuse prediction tables (tables.DETECTIONS) of several models or views for the same images.

    Args:
        tables: one a model.
        iou: overlap above which same-class boxes of an image are one, for all classes or by class; see
            `weighted_box_fusion` and suppression.py.
        weights: how much each table counts, for all classes (the negative one included) or by class; None = alike. A
            table of weight 0 is left out; what is of one table alone stays as it is. For suppression, scores are
            scaled by weight / largest.
        method: wbf or nms.
        negative: the class that says that nothing is there: one row an image, whose scores are averaged over the
            tables that have it.

    Returns:
        tables.DETECTIONS by image_id, then falling score; the negative row of an image last.
    """
    rows = pd.concat([table.assign(model=number) for number, table in enumerate(tables)], ignore_index=True)
    counts = [1.0] * len(tables) if weights is None else weights
    alike: dict[tuple[bool, float, tuple[float, ...]], list[str]] = {}  # classes that are fused in one go
    for label in rows["label"].unique():
        absent = label == negative
        limit = 0.0 if absent else _of(iou, label)
        alike.setdefault((absent, limit, tuple(_of(each, label) for each in counts)), []).append(label)
    parts = [rows.iloc[:0]]
    for (absent, limit, shares), labels in sorted(alike.items()):
        part, weight = _counting(rows[rows["label"].isin(labels)], np.array(shares))
        if len(weight) > 1:
            part = _mean_scores(part, weight) if absent else _fuse_rows(part, weight, limit, method)
        parts.append(part)
    fused = conform(pd.concat(parts), DETECTIONS)
    fused = fused.assign(last=(fused["label"] == negative).to_numpy(bool) if negative else False)
    by = ["image_id", "last", "score"]
    return fused.sort_values(by, ascending=[True, True, False], ignore_index=True).drop(columns="last")


def _of(value: Weight, label: str) -> float:
    """What a value, for all classes or by class, is for this one."""
    return float(value[label] if isinstance(value, Mapping) else value)


def _counting(rows: pd.DataFrame, weight: Floats) -> tuple[pd.DataFrame, Floats]:
    """The rows of tables with a weight, and those tables' weights; their numbers close up."""
    counts = weight > 0
    rows = rows[counts[rows["model"]]]
    return rows.assign(model=(np.cumsum(counts) - 1)[rows["model"]]), weight[counts]


def _fuse_rows(rows: pd.DataFrame, weight: Floats, iou: float, method: Method) -> pd.DataFrame:
    """Fuse boxes image by image and class by class, many images at once."""
    groups = rows.groupby(["image_id", "label"], sort=True)
    number = np.asarray(groups.ngroup(), dtype=np.int64)
    names = rows[["image_id", "label"]].iloc[np.unique(number, return_index=True)[1]].reset_index(drop=True)
    boxes, scores = rows[BOX].to_numpy(np.float64), rows["score"].to_numpy(np.float64)
    model = np.asarray(rows["model"], dtype=np.int64)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    blocks = np.split(order, starts[np.flatnonzero(np.diff(starts // ROWS_AT_ONCE)) + 1])
    parts = []
    for block in blocks:
        if method == "wbf":
            part = _fuse_groups(boxes[block], scores[block], number[block], model[block], weight, iou, "avg")
        else:
            scaled = scores[block] * weight[model[block]] / weight.max()
            kept, scaled = nms(boxes[block], scaled, number[block], iou)
            part = boxes[block][kept], scaled, number[block][kept]
        parts.append(part)
    fused, score, group = (np.concatenate(each) for each in zip(*parts, strict=True))
    columns = dict(zip(BOX, fused.T, strict=True))
    return names.iloc[group].reset_index(drop=True).assign(score=score, **columns)


def _mean_scores(rows: pd.DataFrame, weight: Floats) -> pd.DataFrame:
    """One negative row an image, its score the weighted mean of what the tables say."""
    share = weight[rows["model"].to_numpy(np.int64)]
    parts = rows.assign(total=rows["score"] * share, share=share)
    first = parts.groupby("image_id", sort=True, as_index=False)[["label", *BOX]].first()
    sums = parts.groupby("image_id", sort=True)[["total", "share"]].sum()
    return first.assign(score=(sums["total"] / sums["share"]).to_numpy())


def _fuse_groups(
    boxes: Floats,
    scores: Floats,
    group: Ints,
    model: Ints,
    weight: Floats,
    iou: float,
    confidence: Confidence,
) -> tuple[Floats, Floats, Ints]:
    """Fused boxes, their scores and groups, the groups in order of their first box."""
    size = boxes[:, 2:] - boxes[:, :2]
    full = (size > 0).all(axis=1) & (size[:, 0] * size[:, 1] > 0)
    boxes, group, model = boxes[full], group[full], model[full]
    scores = scores[full] * weight[model]
    if len(boxes) == 0:
        return np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64)
    order = _by_falling_score(scores, group)
    boxes, scores, group, model = boxes[order], scores[order], group[order], model[order]
    number = np.cumsum(np.diff(group, prepend=group[0]) != 0)
    clusters = find_clusters(boxes, scores, number, iou)
    first = clusters.root[clusters.last]
    members = np.searchsorted(first, clusters.root)  # the cluster of each box
    score = _confidences(scores, members, weight, confidence)
    return clusters.fused[clusters.last], score, group[first]


def _by_falling_score(scores: Floats, group: Ints) -> Ints:
    """Rows group by group, in order of the groups' first rows.

    Ties go as numpy's default sort leaves them, reversed: the reference takes them so, and their order matters.
    """
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
    runs = np.split(order, starts[1:])
    runs.sort(key=lambda run: run[0])
    return np.concatenate([run[np.argsort(scores[run])[::-1]] for run in runs])


def _confidences(scores: Floats, cluster: Ints, weight: Floats, confidence: Confidence) -> Floats:
    """Scores (C,) of the fused boxes from the weighted scores (N,) of their members."""
    members = np.bincount(cluster)
    total = np.bincount(cluster, scores)
    if confidence == "max":
        best = np.zeros(len(members))
        np.maximum.at(best, cluster, scores)
        return best / weight.max()
    # Single precision, as in the reference: what is equal but for rounding shall tie.
    mean = np.where(members > 1, (total / members).astype(np.float32), total / members)
    return mean * np.minimum(members, len(weight)) / weight.sum()
