"""Hits and false alarms at every threshold of a score: what PR, ROC and F curves are drawn from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """Division that gives NaN (undefined), and no warning, where the divisor is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


@dataclass(frozen=True)
class ThresholdSweep:
    """Counts of what is called positive at `score >= threshold`, for K falling thresholds.

    Attributes:
        threshold: (K,) the distinct scores, falling.
        tp: (..., K) true positives; the leading axes are the draws of a bootstrap, if any.
        fp: (..., K) false positives.
        positives: (...) how many there were to find.
        negatives: (...) how many there were to leave; of no meaning for detections.
    """

    threshold: Floats
    tp: Floats
    fp: Floats
    positives: Floats
    negatives: Floats

    @cached_property
    def precision(self) -> Floats:
        """(..., K); NaN where nothing is called positive."""
        return ratio(self.tp, self.tp + self.fp)

    @cached_property
    def recall(self) -> Floats:
        """(..., K), sensitivity; NaN without positives."""
        return ratio(self.tp, self.positives[..., None])

    @cached_property
    def fall_out(self) -> Floats:
        """(..., K), the false positive rate; NaN without negatives."""
        return ratio(self.fp, self.negatives[..., None])

    def f_beta(self, beta: float = 1.0) -> Floats:
        """(..., K), recall counting `beta` times as much as precision; NaN without positives."""
        beta2 = beta * beta
        found = self.positives[..., None]
        score = ratio((1 + beta2) * self.tp, beta2 * found + self.tp + self.fp)
        return np.where(found > 0, score, np.nan)

    def average_precision(self) -> Floats:
        """(...), the sum of precision over the steps of recall, not interpolated; NaN without positives."""
        steps = np.diff(self.tp, axis=-1, prepend=0.0)
        area = (steps * np.where(np.isnan(self.precision), 0.0, self.precision)).sum(axis=-1)
        return ratio(area, self.positives)

    def roc_auc(self) -> Floats:
        """(...), the chance that a positive scores above a negative, ties counting half; NaN without both."""
        rise = np.diff(self.tp, axis=-1, prepend=0.0)
        run = np.diff(self.fp, axis=-1, prepend=0.0)
        return ratio((run * (self.tp - rise / 2)).sum(axis=-1), self.positives * self.negatives)


def sweep_thresholds(
    hits: ArrayLike, scores: ArrayLike, positives: int | None = None, weights: Floats | None = None
) -> ThresholdSweep:
    """Count hits and false alarms at every distinct score.

    Args:
        hits: (N,) whether each is positive (classification) or a true detection.
        scores: (N,) confidence.
        positives: how many there are to find; None = those among `hits` (with detections, some are never
            found).
        weights: (..., N) how often each counts; None = once. Not to be had together with `positives`.
    """
    hits, scores = np.asarray(hits, dtype=bool), np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)  # the last of each run of equal scores
    counts = np.ones(len(scores)) if weights is None else weights[..., order]
    tp = np.cumsum(counts * hits[order], axis=-1)[..., ends]
    fp = np.cumsum(counts * ~hits[order], axis=-1)[..., ends]
    total = counts.sum(axis=-1)
    found = (counts * hits[order]).sum(axis=-1)
    to_find = np.asarray(found if positives is None else positives, dtype=np.float64)
    return ThresholdSweep(scores[order][ends], tp, fp, to_find, np.asarray(total - found))
