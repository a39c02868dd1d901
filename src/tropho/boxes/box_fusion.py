"""Weighted box fusion (Solovyev et al., 2021), equal to their `ensemble-boxes` but for boxes in pixels.

Fusion is defined box by box: by descending score, each joins the cluster whose fused box it overlaps most, or founds
one, and the fused box moves. Only near boxes move it, so boxes whose near earlier ones are done are fused together.
Candidate pairs are enough: a fused box overlaps its newest member by more than the threshold. So does a box that can
join it.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats, Ints, candidate_pairs, nms, stable_order
from tropho.tables import BOX, DETECTIONS, conform

ConfType = Literal["avg", "max"]
Method = Literal["wbf", "nms"]

Weight = float | Mapping[str, float]  # for all classes, or by class
MAX_ROWS = 200_000  # boxes that are fused at once; bounds memory
MIN_WEIGHT = 1e-300  # weight of a box of score 0, so that the mean of such boxes is defined


def fuse(
    tables: list[pd.DataFrame],
    iou: float | Mapping[str, float] = 0.55,
    weights: Sequence[Weight] | None = None,
    method: Method = "wbf",
    negative: str | None = None,
    conf_type: ConfType | Mapping[str, ConfType] = "avg",
) -> pd.DataFrame:
    """Fuse the prediction tables of several models or views of the same images.

    Args:
        tables: tables.DETECTIONS of each model.
        iou: threshold above which boxes of a class are fused or suppressed, 0..1, for all classes or by class.
        weights: of the tables, for all classes or by class; None = equal. A table of weight 0 is left out, and a
            single table stays as it is. With nms, scores are scaled by weight / largest weight.
        method: wbf or nms.
        negative: class of images without objects: one row an image, whose scores are averaged.
        conf_type: score of a box fused by wbf, for all classes or by class (avg where a class is missing).

    Returns:
        tables.DETECTIONS by image_id, then descending score; the negative row of an image last.
    """
    rows = pd.concat([table.assign(model=number) for number, table in enumerate(tables)], ignore_index=True)
    weights = [1.0] * len(tables) if weights is None else weights
    classes_by_params: dict[tuple[bool, float, tuple[float, ...], ConfType], list[str]] = {}
    for label in rows["label"].unique():
        is_negative = label == negative
        threshold = 0.0 if is_negative else _for_class(iou, label)
        conf = conf_type if isinstance(conf_type, str) else conf_type.get(label, "avg")
        key = (is_negative, threshold, tuple(_for_class(weight, label) for weight in weights), conf)
        classes_by_params.setdefault(key, []).append(label)
    parts = [rows.iloc[:0]]
    for (is_negative, threshold, class_weights, conf), labels in sorted(classes_by_params.items()):
        part, weight = _drop_unweighted(rows[rows["label"].isin(labels)], np.array(class_weights))
        if len(weight) > 1:
            part = _mean_scores(part, weight) if is_negative else _fuse_rows(part, weight, threshold, method, conf)
        parts.append(part)
    return _in_order(parts, negative)


def merge_overlapping(table: pd.DataFrame, iou: Mapping[str, float], negative: str | None = None) -> pd.DataFrame:
    """Merge boxes of one table that overlap: the mean box by score, with the highest score; returns as `fuse`.

    `iou` is, by class, the overlap from which boxes are merged, 0..1; other classes stay.
    """
    rows = table.assign(model=0)
    parts = [rows[~rows["label"].isin(iou)]]
    for label, threshold in iou.items():
        if len(part := rows[rows["label"] == label]):
            parts.append(_fuse_rows(part, np.ones(1), threshold, "wbf", "max"))
    return _in_order(parts, negative)


def _in_order(parts: list[pd.DataFrame], negative: str | None) -> pd.DataFrame:
    """Join tables and sort them by image_id, then descending score; the negative row of an image last."""
    fused = conform(pd.concat(parts), DETECTIONS)
    fused = fused.assign(last=(fused["label"] == negative).to_numpy(bool) if negative else False)
    by = ["image_id", "last", "score"]
    return fused.sort_values(by, ascending=[True, True, False], ignore_index=True).drop(columns="last")


def _for_class(value: Weight, label: str) -> float:
    return float(value[label] if isinstance(value, Mapping) else value)


def _drop_unweighted(rows: pd.DataFrame, weight: Floats) -> tuple[pd.DataFrame, Floats]:
    """Drop the tables of weight 0 and renumber the others."""
    keep = weight > 0
    rows = rows[keep[rows["model"]]]
    return rows.assign(model=(np.cumsum(keep) - 1)[rows["model"]]), weight[keep]


def _fuse_rows(rows: pd.DataFrame, weight: Floats, iou: float, method: Method, conf_type: ConfType) -> pd.DataFrame:
    """Fuse boxes by image and class, many images at once."""
    groups = rows.groupby(["image_id", "label"], sort=True)
    group = np.asarray(groups.ngroup(), dtype=np.int64)
    names = rows[["image_id", "label"]].iloc[np.unique(group, return_index=True)[1]].reset_index(drop=True)
    boxes, scores = rows[BOX].to_numpy(np.float64), rows["score"].to_numpy(np.float64)
    model_of = np.asarray(rows["model"], dtype=np.int64)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    parts = []
    for block in np.split(order, starts[np.flatnonzero(np.diff(starts // MAX_ROWS)) + 1]):
        if method == "wbf":
            part = fuse_boxes(boxes[block], scores[block], group[block], model_of[block], weight, iou, conf_type)
        else:
            scaled = scores[block] * weight[model_of[block]] / weight.max()
            keep, scaled = nms(boxes[block], scaled, group[block], iou)
            part = boxes[block][keep], scaled, group[block][keep]
        parts.append(part)
    fused, conf, group = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    columns = dict(zip(BOX, fused.T, strict=True))
    return names.iloc[group].reset_index(drop=True).assign(score=conf, **columns)


def _mean_scores(rows: pd.DataFrame, weight: Floats) -> pd.DataFrame:
    """Average the negative row of each image, weighted by table."""
    weight = weight[rows["model"].to_numpy(np.int64)]
    weighted = rows.assign(total=rows["score"] * weight, weight=weight)
    first = weighted.groupby("image_id", sort=True, as_index=False)[["label", *BOX]].first()
    sums = weighted.groupby("image_id", sort=True)[["total", "weight"]].sum()
    return first.assign(score=(sums["total"] / sums["weight"]).to_numpy())


def fuse_boxes(
    boxes: Floats, scores: Floats, group: Ints, model_of: Ints, weight: Floats, iou: float, conf_type: ConfType
) -> tuple[Floats, Floats, Ints]:
    """Fuse boxes of several models, group by group, such as an image's boxes of one class.

    Args:
        boxes: (N, 4) xyxy in any unit; those without an area are left out.
        scores: (N,).
        group: (N,) from 0; boxes of different groups are independent.
        model_of: (N,) row of each box's model in `weight`.
        weight: (models,).
        iou: a box joins a fused box if they overlap more than this, 0..1.
        conf_type: score of a fused box. avg: the members' mean, less where models are missing; max: the highest.

    Returns:
        The fused boxes (C, 4), scores (C,) and groups (C,), the groups by their first box.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    keep = (size > 0).all(axis=1) & (size[:, 0] * size[:, 1] > 0)
    boxes, group, model_of = boxes[keep], group[keep], model_of[keep]
    scores = scores[keep] * weight[model_of]
    if len(boxes) == 0:
        return np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64)
    order = _by_score(scores, group)
    boxes, scores, group = boxes[order], scores[order], group[order]
    number = np.cumsum(np.diff(group, prepend=group[0]) != 0)
    root, last, fused = cluster_boxes(boxes, scores, number, iou)
    cluster = np.searchsorted(root[last], root)  # (N,)
    return fused[last], _confidences(scores, cluster, weight, conf_type), group[root[last]]


def _by_score(scores: Floats, group: Ints) -> Ints:
    """Return rows by group, in order of the groups' first rows, then by descending score.

    Ties go as NumPy's default sort leaves them, reversed, since the reference's do.
    """
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
    runs = np.split(order, starts[1:])
    runs.sort(key=lambda run: run[0])
    return np.concatenate([run[np.argsort(scores[run])[::-1]] for run in runs])


def _confidences(scores: Floats, cluster: Ints, weight: Floats, conf_type: ConfType) -> Floats:
    """Return the scores (C,) of the fused boxes from the weighted scores (N,) of their members."""
    counts = np.bincount(cluster)
    if conf_type == "max":
        best = np.zeros(len(counts))
        np.maximum.at(best, cluster, scores)
        return best / float(weight.max())
    total = np.bincount(cluster, scores)
    # float32 as in the reference, so that scores that differ by rounding tie.
    mean: Floats = np.where(counts > 1, (total / counts).astype(np.float32), total / counts)
    return mean * np.minimum(counts, len(weight)) / float(weight.sum())


def cluster_boxes(boxes: Floats, scores: Floats, group: Ints, iou: float) -> tuple[Ints, Ints, Floats]:
    """Cluster the boxes of each group in their order.

    Args:
        boxes: (N, 4) xyxy with an area, those of a group by descending score.
        scores: (N,) weights of the boxes in their cluster's mean.
        group: (N,) int64 from 0; boxes of different groups are independent.
        iou: a box joins a cluster if they overlap more than this.

    Returns:
        root: (N,) first box of each box's cluster.
        last: (C,) last box of each cluster, by first box.
        fused: (N, 4) the cluster's box when this box had joined.
    """
    n = len(boxes)
    root, following = np.arange(n), np.full(n, n)  # a cluster is a chain of its members
    fused = np.array(boxes.T, order="C")  # (4, N): NumPy is fast along the last axis
    weight = np.maximum(scores, MIN_WEIGHT)
    sums = np.vstack([fused * weight, weight])  # (5, N), of the cluster up to each box
    later, earlier, rounds = _rounds(*candidate_pairs(boxes, group, iou), n)
    joining = fused.take(later, axis=1)
    for pairs, starts, counts in rounds:
        new, old = later[pairs], earlier[pairs]
        overlap = _iou_columns(joining[:, pairs], fused.take(old, axis=1))
        overlap *= following[old] > new  # else the cluster has moved on from there
        best = np.maximum.reduceat(overlap, starts)
        joins = best > iou
        idx = np.flatnonzero(overlap == np.repeat(np.where(joins, best, -1.0), counts))
        new, old = new[idx], old[idx]
        if len(idx) > np.count_nonzero(joins):  # of clusters that a box overlaps equally, the oldest
            order = np.lexsort((root[old], new))
            first = order[np.flatnonzero(np.diff(new[order], prepend=-1))]
            new, old = new[first], old[first]
        root[new], following[old] = root[old], new
        merged = sums.take(new, axis=1) + sums.take(old, axis=1)
        sums[:, new], fused[:, new] = merged, merged[:4] / merged[4]
    last = np.flatnonzero(following == n)
    return root, last[np.argsort(root[last])], fused.T


def _rounds(later: Ints, earlier: Ints, n: int) -> tuple[Ints, Ints, list[tuple[slice, Ints, Ints]]]:
    """Order pairs into rounds: a box is in the round after the last of its near, earlier boxes.

    Returns:
        The pairs by round, then later row; and per round its slice, and the starts and lengths of the later rows' runs.
    """
    level = np.zeros(n, np.int64)  # the round of each box
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


def _iou_columns(boxes: Floats, others: Floats) -> Floats:
    """Compute intersection over union (P,) of boxes (4, P) that have an area, column by column."""
    sides = np.minimum(boxes[2:], others[2:])
    sides -= np.maximum(boxes[:2], others[:2])
    np.maximum(sides, 0.0, out=sides)
    inter: Floats = sides[0] * sides[1]
    size, other_size = boxes[2:] - boxes[:2], others[2:] - others[:2]
    union: Floats = size[0] * size[1] + other_size[0] * other_size[1] - inter
    return inter / union
