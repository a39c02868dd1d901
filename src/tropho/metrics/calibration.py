"""Whether a probability of 0.8 is right in 8 of 10 cases, and what to do if not (Guo et al. 2017)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tropho.metrics.confusion import sums_by
from tropho.metrics.threshold_sweep import Floats, ratio

Ints = NDArray[np.integer]

BINS = 15
COLDEST, HOTTEST = 0.25, 10.0  # temperatures; a few images that are all right don't prove certainty
BISECTIONS = 50


def reliability_bins(truth: Ints, probabilities: Floats, bins: int = BINS) -> pd.DataFrame:
    """How often the likeliest class is right, by how probable it is said to be.

    Args:
        truth: (N,) class numbers.
        probabilities: (N, C).
        bins: number of bins of equal width over 0..1; a bin holds its upper edge, the first 0 too.

    Returns:
        One row a bin: low, high, count, confidence (mean) and accuracy; NaN in empty bins.
    """
    confidence, right, place = _binned(truth, probabilities, bins)
    edges = np.linspace(0, 1, bins + 1)
    count, said, true = (sums_by(place, bins, each) for each in (np.ones(len(right)), confidence, right))
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "count": count.astype(np.int64),
            "confidence": ratio(said, count),
            "accuracy": ratio(true, count),
        }
    )


def calibration_error(truth: Ints, probabilities: Floats, bins: int = BINS, weights: Floats | None = None) -> Floats:
    """Expected calibration error: mean distance of confidence and accuracy over the bins, by their counts.

    `weights` (..., N) say how often each sample counts; the result is (...), NaN without samples.
    """
    confidence, right, place = _binned(truth, probabilities, bins)
    weights = np.ones(len(right)) if weights is None else weights
    gaps = np.abs(sums_by(place, bins, weights * (confidence - right))).sum(axis=-1)
    return ratio(gaps, weights.sum(axis=-1))


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """The temperature T for which softmax(logits / T) has the least cross-entropy.

    The loss is convex in 1 / T, so the zero of its slope is found by bisection, to 1e-13 relative. Logs of
    probabilities do for logits. Where the best T is no finite one (all right, all wrong), it is COLDEST or
    HOTTEST; without samples it is 1.

    Args:
        logits: (N, C), finite.
        truth: (N,) class numbers.
    """
    if len(truth) == 0:
        return 1.0
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    target = logits[np.arange(len(truth)), truth].mean()

    def slope(inverse: float) -> float:
        weights = np.exp(inverse * logits)
        return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean() - target)

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 2 / (low + high)


def with_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities (N, C) as they would be with the logits divided by `temperature`."""
    weights = np.exp(log_probabilities(probabilities) / temperature)
    return weights / weights.sum(axis=1, keepdims=True)


def log_probabilities(probabilities: Floats) -> Floats:
    """Finite logs, for `fit_temperature`: a probability of 0 counts as the smallest normal double."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float64).tiny))


def _binned(truth: Ints, probabilities: Floats, bins: int) -> tuple[Floats, Floats, Ints]:
    """Confidence, whether right (0 or 1), and bin of every sample."""
    if len(truth) == 0:
        return np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    return confidence, right, place
