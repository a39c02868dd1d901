"""Metrics of one class an image, for one weighting of the images or for many at once."""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.calibration import calibration_error
from tropho.metrics.confusion import class_counts
from tropho.metrics.threshold_sweep import Floats, ratio, sweep_thresholds

Ints = NDArray[np.integer]

VALUES_RANKED = 2_000_000_000
"""Of images x classes x draws, for the areas under curves by class: some minutes."""
FEWEST_DRAWS = 200


def classification_metrics(truth: Ints, probabilities: Floats, classes: list[str]) -> dict[str, float]:
    """Every metric, flat; NaN where one is undefined.

    Args:
        truth: (N,) class numbers 0..C-1.
        probabilities: (N, C), rows adding up to 1; the first of the likeliest classes is the prediction.
        classes: C names.

    Returns:
        accuracy, balanced_accuracy (mean recall of the classes in the truth), precision, recall, f1, roc_auc
        and pr_auc (means over the classes for which they are defined), mcc, log_loss, ece, and by class
        `precision/<class>`, recall, f1, roc_auc and pr_auc (one against the rest), support.
    """
    values = weighted_metrics(truth, probabilities, classes, np.ones((1, len(truth))))
    return {name: float(value[0]) for name, value in values.items()}


def classification_intervals(
    truth: Ints,
    probabilities: Floats,
    classes: list[str],
    groups: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The same metrics with 95 % bootstrap intervals, resampled by group (N,): columns value, low, high, draws.

    There are fewer `draws` where many classes and images would make them take hours.
    """
    statistic = partial(weighted_metrics, truth, probabilities, classes)
    affordable = max(FEWEST_DRAWS, VALUES_RANKED // max(1, len(truth) * len(classes)))
    return with_intervals(statistic, groups, draws=min(draws, affordable), seed=seed, width=8 * len(classes))


def weighted_metrics(truth: Ints, probabilities: Floats, classes: list[str], weights: Floats) -> dict[str, Floats]:
    """The metrics for weights (D, N), how often each image counts in each draw; values are (D,)."""
    truth, probabilities = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    if probabilities.shape != (len(truth), len(classes)):
        shape = (len(truth), len(classes))
        raise ValueError(f"probabilities must have the shape {shape}, not {probabilities.shape}")
    predicted = probabilities.argmax(axis=1) if len(truth) else truth
    tp, fn, fp, _ = class_counts(truth, predicted, len(classes), weights)
    recall = ratio(tp, tp + fn)
    by_class = {"precision": ratio(tp, tp + fp), "recall": recall, "f1": ratio(2 * tp, 2 * tp + fp + fn)}
    for name in ("roc_auc", "pr_auc"):
        by_class[name] = np.empty_like(tp)
    for number in range(len(classes)):
        points = sweep_thresholds(truth == number, probabilities[:, number], weights=weights)
        by_class["roc_auc"][..., number], by_class["pr_auc"][..., number] = points.roc_auc(), points.average_precision()
    likelihood = np.clip(probabilities[np.arange(len(truth)), truth], np.finfo(np.float64).eps, 1.0)
    total = weights.sum(axis=-1)
    result = {
        "accuracy": ratio(tp.sum(axis=-1), total),
        "balanced_accuracy": defined_mean(recall),
        **{name: defined_mean(values) for name, values in by_class.items()},
        "mcc": multiclass_mcc(tp, tp + fn, tp + fp),
        "log_loss": ratio(-(weights * np.log(likelihood)).sum(axis=-1), total),
        "ece": calibration_error(truth, probabilities, weights=weights),
    }
    by_class["support"] = tp + fn
    for number, label in enumerate(classes):
        for name, values in by_class.items():
            result[f"{name}/{label}"] = values[..., number]
    return result


def multiclass_mcc(hits: Floats, true: Floats, predicted: Floats) -> Floats:
    """Matthews correlation coefficient of counts (..., C) by class, by Gorodkin's R_K; NaN if undefined."""
    total, right = true.sum(axis=-1), hits.sum(axis=-1)
    covariance = right * total - (true * predicted).sum(axis=-1)
    spread = np.sqrt(total**2 - (predicted**2).sum(axis=-1)) * np.sqrt(total**2 - (true**2).sum(axis=-1))
    return ratio(covariance, spread)


def defined_mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN if nothing is left."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
