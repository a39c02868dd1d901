"""Metrics of one class an image, for one weighting of the images or for many at once."""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.calibration import calibration_error
from tropho.metrics.confusion import confusion_matrix, one_vs_rest
from tropho.metrics.scan import Floats, ratio, scan

Ints = NDArray[np.integer]


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
    """The same metrics with 95 % bootstrap intervals, resampled by group (N,): columns value, low, high."""
    statistic = partial(weighted_metrics, truth, probabilities, classes)
    return with_intervals(statistic, groups, draws=draws, seed=seed)


def weighted_metrics(truth: Ints, probabilities: Floats, classes: list[str], weights: Floats) -> dict[str, Floats]:
    """The metrics for weights (D, N), how often each image counts in each draw; values are (D,)."""
    truth, probabilities = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    if probabilities.shape != (len(truth), len(classes)):
        shape = (len(truth), len(classes))
        raise ValueError(f"probabilities must have the shape {shape}, not {probabilities.shape}")
    predicted = probabilities.argmax(axis=1) if len(truth) else truth
    matrix = confusion_matrix(truth, predicted, len(classes), weights)
    tp, fn, fp, _ = one_vs_rest(matrix)
    recall = ratio(tp, tp + fn)
    by_class = {"precision": ratio(tp, tp + fp), "recall": recall, "f1": ratio(2 * tp, 2 * tp + fp + fn)}
    scans = [scan(truth == number, probabilities[:, number], weights=weights) for number in range(len(classes))]
    by_class["roc_auc"] = np.stack([each.roc_auc() for each in scans], axis=-1)
    by_class["pr_auc"] = np.stack([each.average_precision() for each in scans], axis=-1)
    likelihood = np.clip(probabilities[np.arange(len(truth)), truth], np.finfo(np.float64).eps, 1.0)
    total = weights.sum(axis=-1)
    result = {
        "accuracy": ratio(tp.sum(axis=-1), total),
        "balanced_accuracy": defined_mean(recall),
        **{name: defined_mean(values) for name, values in by_class.items()},
        "mcc": multiclass_mcc(matrix),
        "log_loss": ratio(-(weights * np.log(likelihood)).sum(axis=-1), total),
        "ece": calibration_error(truth, probabilities, weights=weights),
    }
    for number, label in enumerate(classes):
        for name, values in {**by_class, "support": tp + fn}.items():
            result[f"{name}/{label}"] = values[..., number]
    return result


def multiclass_mcc(matrix: Floats) -> Floats:
    """Matthews correlation coefficient of matrices (..., C, C), by Gorodkin's R_K; NaN if undefined."""
    total = matrix.sum(axis=(-2, -1))
    true, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    right = np.trace(matrix, axis1=-2, axis2=-1)
    covariance = right * total - (true * predicted).sum(axis=-1)
    spread = np.sqrt(total**2 - (predicted**2).sum(axis=-1)) * np.sqrt(total**2 - (true**2).sum(axis=-1))
    return ratio(covariance, spread)


def defined_mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN if nothing is left."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
