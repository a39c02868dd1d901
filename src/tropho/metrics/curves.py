"""Precision, recall, F-beta and ROC over every threshold of a score, and the choice of a threshold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.boxes.box_ops import Floats
from tropho.metrics.confusion import ratio
from tropho.metrics.matching import match

MOST_SHOWN = 20  # classes in a figure or a sentence

Choice = dict[str, float | None]
"""threshold, precision, recall and f_beta there; None = undefined, so that JSON can hold it."""


@dataclass(frozen=True)
class ThresholdSweep:
    """Counts at `score >= threshold` for K descending thresholds; leading axes are bootstrap draws, if any."""

    threshold: Floats  # (K,) the distinct scores, descending
    tp: Floats  # (..., K) true positives
    fp: Floats  # (..., K) false positives
    positives: Floats  # (...) ground truth
    negatives: Floats  # (...); meaningless for detections

    @cached_property
    def precision(self) -> Floats:
        """(..., K); NaN where nothing is called positive."""
        return ratio(self.tp, self.tp + self.fp)

    @cached_property
    def recall(self) -> Floats:
        """(..., K); NaN without positives."""
        return ratio(self.tp, self.positives[..., None])

    @cached_property
    def fpr(self) -> Floats:
        """(..., K), the false positive rate; NaN without negatives."""
        return ratio(self.fp, self.negatives[..., None])

    def f_beta(self, beta: float = 1.0) -> Floats:
        """Compute F-beta (..., K), which weighs recall `beta` times as much as precision; NaN without positives."""
        beta2 = beta * beta
        positives = self.positives[..., None]
        score = ratio((1 + beta2) * self.tp, beta2 * positives + self.tp + self.fp)
        return np.where(positives > 0, score, np.nan)

    def average_precision(self) -> Floats:
        """Compute the sum (...) of precision over the steps of recall, not interpolated; NaN without positives."""
        steps = np.diff(self.tp, axis=-1, prepend=0.0)
        area = (steps * np.where(np.isnan(self.precision), 0.0, self.precision)).sum(axis=-1)
        return ratio(area, self.positives)

    def roc_auc(self) -> Floats:
        """Compute the area (...) under the ROC curve; ties count half; NaN without positives or negatives."""
        rise = np.diff(self.tp, axis=-1, prepend=0.0)
        run = np.diff(self.fp, axis=-1, prepend=0.0)
        return ratio((run * (self.tp - rise / 2)).sum(axis=-1), self.positives * self.negatives)


def sweep_thresholds(
    is_positive: ArrayLike, scores: ArrayLike, positives: int | None = None, weights: Floats | None = None
) -> ThresholdSweep:
    """Count true and false positives at every distinct score.

    Args:
        is_positive: (N,) bool; of detections, whether each is a true positive.
        scores: (N,).
        positives: ground truth; None = those of `is_positive`.
        weights: (..., N) how often each row counts; None = once. Not together with `positives`.
    """
    is_positive, scores = np.asarray(is_positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)  # (K,) last of each run of equal scores
    counts = np.ones(len(scores)) if weights is None else weights[..., order]
    tp = np.cumsum(counts * is_positive[order], axis=-1)[..., ends]
    fp = np.cumsum(counts * ~is_positive[order], axis=-1)[..., ends]
    total = counts.sum(axis=-1)
    total_tp = (counts * is_positive[order]).sum(axis=-1)
    n_gt = np.asarray(total_tp if positives is None else positives, dtype=np.float64)
    return ThresholdSweep(scores[order][ends], tp, fp, n_gt, np.asarray(total - total_tp))


def best_threshold(
    is_positive: ArrayLike, scores: ArrayLike, beta: float = 1.0, min_recall: float | None = None
) -> Choice:
    """Pick the threshold of a binary decision, from scores (N,) of being positive; see `pick_threshold`."""
    return pick_threshold(sweep_thresholds(is_positive, scores), beta, min_recall)


def pick_threshold(sweep: ThresholdSweep, beta: float = 1.0, min_recall: float | None = None) -> Choice:
    """Pick the threshold with the best F-beta, or the highest that reaches `min_recall`.

    Of equals the highest is picked; where none reaches `min_recall`, the lowest.
    """
    f_beta = sweep.f_beta(beta)
    if len(f_beta) == 0 or np.isnan(f_beta).all():
        return {"threshold": None, "precision": None, "recall": None, "f_beta": None}
    if min_recall is None:
        idx = int(np.nanargmax(f_beta))
    else:
        reached = sweep.recall >= min_recall
        idx = int(np.argmax(reached)) if reached.any() else len(f_beta) - 1
    values = {
        "threshold": sweep.threshold[idx],
        "precision": sweep.precision[idx],
        "recall": sweep.recall[idx],
        "f_beta": f_beta[idx],
    }
    return {name: None if math.isnan(value) else float(value) for name, value in values.items()}


def unreachable_recall(thresholds: Mapping[str, Any], min_recall: float | None) -> list[str]:
    """Name the classes whose `Choice` in `thresholds` misses `min_recall`, in at most one sentence."""
    if min_recall is None:
        return []
    short = [
        name
        for name, choice in thresholds.items()
        if isinstance(choice, Mapping) and (choice.get("recall") is None or choice["recall"] < min_recall)
    ]
    names = ", ".join(short[:MOST_SHOWN]) + (f" and {len(short) - MOST_SHOWN:,} more" if short[MOST_SHOWN:] else "")
    return [f"No threshold reaches the required sensitivity of {min_recall:g} for {names}."] if short else []


def shown_classes(labels: pd.Series | np.ndarray, classes: list[str]) -> tuple[list[str], str]:
    """Select the MOST_SHOWN most frequent classes of `labels`, in their order, and a sentence on it, "" for all."""
    if len(classes) <= MOST_SHOWN:
        return list(classes), ""
    counts = pd.Series(labels).value_counts()
    idx = sorted(range(len(classes)), key=lambda i: (-int(counts.get(classes[i], 0)), i))[:MOST_SHOWN]
    return [classes[i] for i in sorted(idx)], f"The {MOST_SHOWN} most frequent of {len(classes):,} classes."


def detection_curves(
    gt: pd.DataFrame, predictions: pd.DataFrame, classes: list[str], iou: float = 0.5
) -> dict[str, ThresholdSweep]:
    """Sweep the score threshold of each class over all images; a class without boxes has undefined recall.

    Predictions have no rows of a negative class; `iou` is that of a true positive, see `matching.match`.
    """
    matches = match(gt, predictions, iou)
    n_gt = matches.truths["label"].value_counts()
    curves = {}
    for name in classes:
        rows = matches.detections[matches.detections["label"] == name]
        curves[name] = sweep_thresholds(rows["hit"], rows["score"], positives=int(n_gt.get(name, 0)))
    return curves


def classification_curves(gt: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> dict[str, ThresholdSweep]:
    """Sweep each class against the rest, for class numbers (N,) and probabilities (N, C)."""
    return {name: sweep_thresholds(gt == number, probabilities[:, number]) for number, name in enumerate(classes)}
