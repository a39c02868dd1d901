"""The confusion matrix, and every quantity that is read from one class against the rest of it."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.threshold_sweep import Floats, ratio

Ints = NDArray[np.integer]
Counts = tuple[Floats, Floats, Floats, Floats]

CLASSES_AT_ONCE = 256
"""Whose quantities are held for all draws: some 50 MB."""


def sums_by(numbers: Ints, size: int, weights: Floats) -> Floats:
    """Add up weights (..., N) by the number (N,) of their column, 0..size-1, into (..., size)."""
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    out = np.zeros((*weights.shape[:-1], size))
    if len(present):
        out[..., present] = np.add.reduceat(weights[..., order], starts, axis=-1)
    return out


def confusion_matrix(truth: Ints, predicted: Ints, classes: int, weights: Floats | None = None) -> Floats:
    """Counts (..., C, C) of true class (row) and predicted class (column).

    Args:
        truth: (N,) class numbers.
        predicted: (N,) class numbers.
        classes: C.
        weights: (..., N) how often each sample counts; None = once.
    """
    weights = np.ones(len(truth)) if weights is None else weights
    flat = sums_by(truth * classes + predicted, classes * classes, weights)
    return flat.reshape(*weights.shape[:-1], classes, classes)


def one_vs_rest(matrix: Floats) -> Counts:
    """(TP, FN, FP, TN), each (..., C), of a confusion matrix (..., C, C)."""
    tp = np.diagonal(matrix, axis1=-2, axis2=-1)
    fn = matrix.sum(axis=-1) - tp
    fp = matrix.sum(axis=-2) - tp
    return tp, fn, fp, matrix.sum(axis=(-2, -1))[..., None] - tp - fn - fp


def class_counts(truth: Ints, predicted: Ints, classes: int, weights: Floats) -> Counts:
    """As `one_vs_rest` of the confusion matrix for weights (..., N), without making the matrix."""
    right = truth == predicted
    tp = sums_by(truth[right], classes, weights[..., right])
    true, found = sums_by(truth, classes, weights), sums_by(predicted, classes, weights)
    return tp, true - tp, found - tp, weights.sum(axis=-1)[..., None] - true - found + tp


def quantities(tp: Floats, fn: Floats, fp: Floats, tn: Floats, beta: float = 1.0) -> dict[str, Floats]:
    """Every quantity of the two-by-two table, for counts of one shape; NaN where it is undefined (x / 0).

    The names are the usual abbreviations: tpr sensitivity, fnr miss rate, fpr fall-out, tnr specificity, ppv
    precision, fdr false discovery rate, npv negative predictive value, for false omission rate, lr_plus and
    lr_minus likelihood ratios, dor diagnostic odds ratio (tp tn / fp fn).
    """
    tp, fn, fp, tn = (np.asarray(each, np.float64) for each in (tp, fn, fp, tn))
    positives, negatives = tp + fn, fp + tn
    total = positives + negatives
    tpr, fnr = ratio(tp, positives), ratio(fn, positives)
    fpr, tnr = ratio(fp, negatives), ratio(tn, negatives)
    ppv, fdr = ratio(tp, tp + fp), ratio(fp, tp + fp)
    npv, omission = ratio(tn, tn + fn), ratio(fn, tn + fn)
    beta2 = beta * beta
    # (sqrt(tpr fpr) - fpr) / (tpr - fpr), shortened so as not to cancel; undefined, like it, at tpr = fpr.
    threshold = ratio(np.sqrt(fpr), np.sqrt(tpr) + np.sqrt(fpr))
    # The square roots one by one: the product of the four sums overflows what a double holds exactly.
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
    truth: Ints, predicted: Ints, classes: list[str], groups: np.ndarray, beta: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Every quantity of every class, against the rest, with its 95 % bootstrap interval, resampled by group (N,).

    Args:
        truth: (N,) class numbers.
        predicted: (N,) class numbers.
        classes: C names.
        groups: (N,) of each sample.
        beta: of f_beta.
        seed: of the draws.

    Returns:
        Columns class, quantity, value, low, high; undefined ones are NaN.
    """

    def counts(weights: Floats, part: slice) -> Counts:
        tp, fn, fp, tn = (each[..., part] for each in class_counts(truth, predicted, len(classes), weights))
        return tp, fn, fp, tn

    return _table(counts, classes, groups, beta, seed)


def threshold_table(
    truth: Ints,
    scores: Floats,
    thresholds: Sequence[float | None],
    classes: list[str],
    groups: np.ndarray,
    beta: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """As `quantities_table`, each class called where its score (N, C) is at or above its own threshold.

    A class without a threshold (None) is never called.
    """
    cuts = np.array([np.inf if each is None else each for each in thresholds], np.float64)
    numbers = np.arange(len(classes))

    def counts(weights: Floats, part: slice) -> Counts:
        called = np.asarray(scores[:, part], np.float64) >= cuts[part]
        mine = truth[:, None] == numbers[part]
        tp, fn, fp, tn = (weights @ cell for cell in (mine & called, mine & ~called, ~mine & called, ~mine & ~called))
        return tp, fn, fp, tn

    return _table(counts, classes, groups, beta, seed)


def _table(
    counts: Callable[[Floats, slice], Counts], classes: list[str], groups: np.ndarray, beta: float, seed: int
) -> pd.DataFrame:
    """The quantities of (TP, FN, FP, TN), each (..., part of C), which `counts` makes of the samples' weights (..., N).

    Classes are dealt with some at a time, with the same draws, so that memory does not grow with their number.
    """
    names = list(quantities(*np.zeros((4, 1))))

    def statistic(weights: Floats, part: slice) -> dict[str, Floats]:
        values = quantities(*counts(weights, part), beta=beta)
        several = range(values[names[0]].shape[-1])
        return {f"{number} {name}": values[name][..., number] for number in several for name in names}

    tables = []
    for start in range(0, len(classes), CLASSES_AT_ONCE):
        part = slice(start, start + CLASSES_AT_ONCE)
        width = max(len(classes), len(names) * min(CLASSES_AT_ONCE, len(classes)))
        tables.append(with_intervals(partial(statistic, part=part), groups, seed=seed, width=width))
    table = pd.concat(tables)
    keys = pd.DataFrame([(label, name) for label in classes for name in names], columns=["class", "quantity"])
    return pd.concat([keys, table.reset_index(drop=True)], axis=1)
