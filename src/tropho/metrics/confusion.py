"""The confusion matrix and every quantity of one class against the rest."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tropho.boxes.box_ops import Floats
from tropho.metrics.bootstrap import with_intervals

Classes = NDArray[np.integer]
Counts = tuple[Floats, Floats, Floats, Floats]  # TP, FN, FP, TN

MAX_CLASSES = 256  # classes whose quantities are held for all draws at once, some 50 MB


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """Divide; where the divisor is 0 the result is NaN (undefined), without a warning."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0))


def sums_by(numbers: Classes, size: int, weights: Floats) -> Floats:
    """Sum weights (..., N) by the number (N,) of their column, 0..size-1, into (..., size)."""
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    out = np.zeros((*weights.shape[:-1], size))
    if len(present):
        out[..., present] = np.add.reduceat(weights[..., order], starts, axis=-1)
    return out


def class_counts(gt: Classes, predicted: Classes, classes: int, weights: Floats) -> Counts:
    """Return TP, FN, FP, TN, (..., C) each, for weights (..., N), without making the matrix."""
    is_correct = gt == predicted
    tp = sums_by(gt[is_correct], classes, weights[..., is_correct])
    n_gt, n_pred = sums_by(gt, classes, weights), sums_by(predicted, classes, weights)
    return tp, n_gt - tp, n_pred - tp, weights.sum(axis=-1)[..., None] - n_gt - n_pred + tp


def quantities(tp: Floats, fn: Floats, fp: Floats, tn: Floats, beta: float = 1.0) -> dict[str, Floats]:
    """Compute every quantity of the two-by-two table, for counts of one shape; NaN where it is x / 0.

    tpr sensitivity, fnr miss rate, fpr fall-out, tnr specificity; ppv precision, fdr false discovery rate, npv negative
    predictive value, for false omission rate; lr_plus and lr_minus likelihood ratios, dor diagnostic odds ratio.
    """
    tp, fn, fp, tn = (np.asarray(count, np.float64) for count in (tp, fn, fp, tn))
    positives, negatives = tp + fn, fp + tn
    total = positives + negatives
    tpr, fnr = ratio(tp, positives), ratio(fn, positives)
    fpr, tnr = ratio(fp, negatives), ratio(tn, negatives)
    ppv, fdr = ratio(tp, tp + fp), ratio(fp, tp + fp)
    npv, omission = ratio(tn, tn + fn), ratio(fn, tn + fn)
    beta2 = beta * beta
    # (sqrt(tpr fpr) - fpr) / (tpr - fpr), shortened against cancellation; undefined at tpr = fpr.
    threshold = ratio(np.sqrt(fpr), np.sqrt(tpr) + np.sqrt(fpr))
    # Square roots one by one: the product of the four sums exceeds what a double holds exactly.
    spread = np.sqrt(positives) * np.sqrt(negatives) * np.sqrt(tp + fp) * np.sqrt(tn + fn)
    return {
        "tp": tp,
        "fn": fn,
        "fp": fp,
        "tn": tn,
        "tpr": tpr,
        "fnr": fnr,
        "fpr": fpr,
        "tnr": tnr,
        "ppv": ppv,
        "fdr": fdr,
        "npv": npv,
        "for": omission,
        "lr_plus": ratio(tpr, fpr),
        "lr_minus": ratio(fnr, tnr),
        "dor": ratio(tp * tn, fp * fn),
        "prevalence": ratio(positives, total),
        "prevalence_threshold": np.where(tpr == fpr, np.nan, threshold),
        "informedness": tpr + tnr - 1,
        "markedness": ppv + npv - 1,
        "accuracy": ratio(tp + tn, total),
        "balanced_accuracy": (tpr + tnr) / 2,
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "f_beta": ratio((1 + beta2) * tp, (1 + beta2) * tp + beta2 * fn + fp),
        "fowlkes_mallows": np.sqrt(ppv * tpr),
        "mcc": ratio(tp * tn - fp * fn, spread),
        "threat_score": ratio(tp, tp + fn + fp),
    }


def quantities_table(
    gt: Classes, predicted: Classes, classes: list[str], groups: np.ndarray, beta: float = 1.0
) -> pd.DataFrame:
    """Compute every quantity of every class against the rest, with 95 % bootstrap intervals by group.

    `gt` and `predicted` are class numbers (N,).

    Returns:
        Columns class, quantity, value, low, high and draws; NaN = undefined.
    """

    def counts(weights: Floats, part: slice) -> Counts:
        tp, fn, fp, tn = (count[..., part] for count in class_counts(gt, predicted, len(classes), weights))
        return tp, fn, fp, tn

    return _table(counts, classes, groups, beta)


def threshold_table(
    gt: Classes,
    scores: Floats,
    thresholds: Sequence[float | None],
    classes: list[str],
    groups: np.ndarray,
    beta: float = 1.0,
) -> pd.DataFrame:
    """Compute the table of `quantities_table` with each class predicted where its score reaches its threshold.

    Scores are (N, C), thresholds one a class; a class with None is never predicted.
    """
    limits = np.array([np.inf if value is None else value for value in thresholds], np.float64)
    numbers = np.arange(len(classes))

    def counts(weights: Floats, part: slice) -> Counts:
        pred = np.asarray(scores[:, part], np.float64) >= limits[part]  # (N, part)
        true = gt[:, None] == numbers[part]
        tp, fn, fp, tn = (weights @ cell for cell in (true & pred, true & ~pred, ~true & pred, ~true & ~pred))
        return tp, fn, fp, tn

    return _table(counts, classes, groups, beta)


def _table(
    counts: Callable[[Floats, slice], Counts], classes: list[str], groups: np.ndarray, beta: float
) -> pd.DataFrame:
    """Compute intervals of the quantities, MAX_CLASSES at a time with the same draws.

    `counts` maps sample weights (..., N) to TP, FN, FP, TN, (..., part of C) each.
    """
    names = list(quantities(*np.zeros((4, 1))))

    def statistic(weights: Floats, part: slice) -> dict[str, Floats]:
        values = quantities(*counts(weights, part), beta=beta)
        several = range(values[names[0]].shape[-1])
        return {f"{number} {name}": values[name][..., number] for number in several for name in names}

    tables = []
    for start in range(0, len(classes), MAX_CLASSES):
        part = slice(start, start + MAX_CLASSES)
        width = max(len(classes), len(names) * min(MAX_CLASSES, len(classes)))
        tables.append(with_intervals(partial(statistic, part=part), groups, width=width))
    table = pd.concat(tables)
    keys = pd.DataFrame([(label, name) for label in classes for name in names], columns=["class", "quantity"])
    return pd.concat([keys, table.reset_index(drop=True)], axis=1)
