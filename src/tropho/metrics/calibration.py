"""Calibration of class probabilities: reliability, expected error, temperature scaling (Guo et al., 2017)."""

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats
from tropho.metrics.confusion import Classes, ratio, sums_by

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 10.0  # A few correct images do not prove certainty


def reliability_bins(gt: Classes, probabilities: Floats, bins: int = BINS) -> pd.DataFrame:
    """Bin the confidence of the most probable class, and compute each bin's accuracy.

    Returns:
        One row for each of `bins` of equal width over 0..1, which hold their upper edges: low, high, count, confidence
            (mean) and accuracy; NaN in empty bins.
    """
    confidence, is_correct, bin_idx = _binned(gt, probabilities, bins)
    edges = np.linspace(0, 1, bins + 1)
    values = np.ones(len(is_correct)), confidence, is_correct
    count, total, correct = (sums_by(bin_idx, bins, value) for value in values)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "count": count.astype(np.int64),
            "confidence": ratio(total, count),
            "accuracy": ratio(correct, count),
        }
    )


def calibration_error(gt: Classes, probabilities: Floats, bins: int = BINS, weights: Floats | None = None) -> Floats:
    """Compute the expected calibration error: the mean gap of confidence and accuracy over the bins, by count.

    Weights (..., N) say how often each sample counts, None once. The result (...) is NaN without samples.
    """
    confidence, is_correct, bin_idx = _binned(gt, probabilities, bins)
    weights = np.ones(len(is_correct)) if weights is None else weights
    gaps = np.abs(sums_by(bin_idx, bins, weights * (confidence - is_correct))).sum(axis=-1)
    return ratio(gaps, weights.sum(axis=-1))


def fit_temperature(logits: Floats, gt: Classes) -> float:
    """Fit the temperature T that minimizes the cross-entropy of softmax(logits / T); log probabilities serve as well.

    Returns:
        T within MIN_TEMPERATURE..MAX_TEMPERATURE; 1 without samples.
    """
    from scipy.optimize import brentq

    if len(gt) == 0:
        return 1.0
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    target = logits[np.arange(len(gt)), gt].mean()

    def slope(inverse: float) -> float:
        weights = np.exp(inverse * logits)
        return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean() - target)

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if slope(low) >= 0:
        return MAX_TEMPERATURE
    if slope(high) <= 0:
        return MIN_TEMPERATURE
    return float(1 / brentq(slope, low, high, xtol=1e-14))  # the loss is convex in 1 / T


def with_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Apply a temperature to probabilities (N, C)."""
    weights = np.exp(log_probabilities(probabilities) / temperature)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def log_probabilities(probabilities: Floats) -> Floats:
    """Return finite logs: a probability of 0 counts as the smallest normal double."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float64).tiny))


def _binned(gt: Classes, probabilities: Floats, bins: int) -> tuple[Floats, Floats, Classes]:
    """Return confidence (N,), whether correct (N,) 0 or 1, and bin (N,) of every sample."""
    if len(gt) == 0:
        return np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    confidence = probabilities.max(axis=1)
    is_correct = (probabilities.argmax(axis=1) == gt).astype(np.float64)
    bin_idx = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    return confidence, is_correct, bin_idx
