"""Decision thresholds, chosen on validation scores. Positive means score >= threshold."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tropho.metrics.threshold_sweep import ThresholdSweep, sweep_thresholds

MOST_TOLD = 20
"""Names in a sentence."""

Choice = dict[str, float | None]
"""threshold, precision, recall and f_beta there; None where that is undefined, so that JSON can hold it."""


def best_threshold(truth: ArrayLike, scores: ArrayLike, beta: float = 1.0, sensitivity: float | None = None) -> Choice:
    """The threshold of a binary decision with the best F-beta, or with a required sensitivity.

    Args:
        truth: (N,) whether each is positive.
        scores: (N,) confidence of being positive.
        beta: above 1 favours recall, below 1 precision.
        sensitivity: if given, the highest threshold whose recall is at least this (0..1), and so the one
            with the fewest false alarms; where none reaches it, the lowest threshold.
    """
    return pick_threshold(sweep_thresholds(truth, scores), beta, sensitivity)


def pick_threshold(points: ThresholdSweep, beta: float = 1.0, sensitivity: float | None = None) -> Choice:
    """As `best_threshold`, for counts that are already there (of detections, say). Of equals, the highest."""
    f_beta = points.f_beta(beta)
    if len(f_beta) == 0 or np.isnan(f_beta).all():
        return {"threshold": None, "precision": None, "recall": None, "f_beta": None}
    if sensitivity is None:
        place = int(np.nanargmax(f_beta))
    else:
        reached = points.recall >= sensitivity
        place = int(np.argmax(reached)) if reached.any() else len(f_beta) - 1
    values = {
        "threshold": points.threshold[place],
        "precision": points.precision[place],
        "recall": points.recall[place],
        "f_beta": f_beta[place],
    }
    return {name: None if math.isnan(value) else float(value) for name, value in values.items()}


def unreachable_recall(thresholds: Mapping[str, Any], required: float | None) -> list[str]:
    """Name the classes that reach the required recall at no threshold, in at most one sentence.

    Args:
        thresholds: by class, results of `best_threshold`.
        required: 0..1; None asks for nothing.
    """
    if required is None:
        return []
    short = [
        name
        for name, choice in thresholds.items()
        if isinstance(choice, Mapping) and (choice.get("recall") is None or choice["recall"] < required)
    ]
    told = ", ".join(short[:MOST_TOLD]) + (f" and {len(short) - MOST_TOLD:,} more" if len(short) > MOST_TOLD else "")
    return [f"No threshold reaches the required sensitivity of {required:g} for {told}."] if short else []
