"""Metrics of single-label classification, with bootstrap intervals."""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.boxes.box_ops import Floats
from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.calibration import calibration_error
from tropho.metrics.confusion import Classes, class_counts, ratio
from tropho.metrics.curves import sweep_thresholds

MAX_RANKED = 2_000_000_000  # images x classes x draws for the areas under curves by class: some minutes

MIN_DRAWS = 200


def classification_metrics(gt: Classes, probabilities: Floats, classes: list[str]) -> dict[str, float]:
    """Compute every metric by name; NaN = undefined.

    Args:
        gt: (N,) class numbers 0..C-1.
        probabilities: (N, C), rows adding up to 1; the first class of the highest is the prediction.
        classes: C names.

    Returns:
        accuracy, balanced_accuracy, precision, recall, f1, roc_auc, pr_auc (means over the classes where they are
        defined), mcc, log_loss, ece; by class precision/<class>, recall, f1, roc_auc, pr_auc, support.
    """
    values = weighted_metrics(gt, probabilities, classes, np.ones((1, len(gt))))
    return {name: float(value[0]) for name, value in values.items()}


def classification_intervals(
    gt: Classes,
    probabilities: Floats,
    classes: list[str],
    groups: ArrayLike,
    draws: int = 1000,
) -> pd.DataFrame:
    """Compute the metrics with 95 % bootstrap intervals, resampled by group; arguments as in `classification_metrics`.

    Many classes and images make fewer draws, which would take hours otherwise.

    Returns:
        Table indexed by metric: value, low, high, draws.
    """
    statistic = partial(weighted_metrics, gt, probabilities, classes)
    affordable = max(MIN_DRAWS, MAX_RANKED // max(1, len(gt) * len(classes)))
    return with_intervals(statistic, groups, min(draws, affordable), 8 * len(classes))


def weighted_metrics(gt: Classes, probabilities: Floats, classes: list[str], weights: Floats) -> dict[str, Floats]:
    """Compute the metrics (D,) for weights (D, N), how often each image counts in each draw."""
    gt, probabilities = np.asarray(gt, np.int64), np.asarray(probabilities, np.float64)
    if probabilities.shape != (len(gt), len(classes)):
        shape = (len(gt), len(classes))
        raise ValueError(f"probabilities must have the shape {shape}, not {probabilities.shape}")
    predicted = probabilities.argmax(axis=1) if len(gt) else gt
    tp, fn, fp, _ = class_counts(gt, predicted, len(classes), weights)
    recall = ratio(tp, tp + fn)
    by_class = {"precision": ratio(tp, tp + fp), "recall": recall, "f1": ratio(2 * tp, 2 * tp + fp + fn)}
    for name in ("roc_auc", "pr_auc"):
        by_class[name] = np.empty_like(tp)
    for number in range(len(classes)):
        sweep = sweep_thresholds(gt == number, probabilities[:, number], weights=weights)
        by_class["roc_auc"][..., number], by_class["pr_auc"][..., number] = sweep.roc_auc(), sweep.average_precision()
    likelihood = np.clip(probabilities[np.arange(len(gt)), gt], np.finfo(np.float64).eps, 1.0)
    total = weights.sum(axis=-1)
    result = {
        "accuracy": ratio(tp.sum(axis=-1), total),
        "balanced_accuracy": defined_mean(recall),
        **{name: defined_mean(values) for name, values in by_class.items()},
        "mcc": multiclass_mcc(tp, tp + fn, tp + fp),
        "log_loss": ratio(-(weights * np.log(likelihood)).sum(axis=-1), total),
        "ece": calibration_error(gt, probabilities, weights=weights),
    }
    by_class["support"] = tp + fn
    for number, label in enumerate(classes):
        for name, values in by_class.items():
            result[f"{name}/{label}"] = values[..., number]
    return result


def balanced_accuracy(gt: Classes, predicted: Classes, classes: int, weights: Floats) -> Floats:
    """Compute the mean recall (D,) over the classes drawn with weights (D, N); NaN = none is."""
    tp, fn, _, _ = class_counts(np.asarray(gt, np.int64), np.asarray(predicted, np.int64), classes, weights)
    return defined_mean(ratio(tp, tp + fn))


def multiclass_mcc(tp: Floats, true: Floats, predicted: Floats) -> Floats:
    """Compute Matthews' correlation coefficient (Gorodkin's R_K) of counts (..., C) by class; NaN = undefined."""
    total, correct = true.sum(axis=-1), tp.sum(axis=-1)
    covariance = correct * total - (true * predicted).sum(axis=-1)
    spread = np.sqrt(total**2 - (predicted**2).sum(axis=-1)) * np.sqrt(total**2 - (true**2).sum(axis=-1))
    return ratio(covariance, spread)


def defined_mean(values: Floats) -> Floats:
    """Average the last axis without NaN; NaN if nothing is left."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
