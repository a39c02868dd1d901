"""Precision, recall, F and ROC over all thresholds, class by class."""

import numpy as np
import pandas as pd

from tropho.metrics.matching import match
from tropho.metrics.threshold_sweep import ThresholdSweep, sweep_thresholds
from tropho.metrics.thresholds import Choice, pick_threshold

MOST_SHOWN = 20
"""Classes that a figure or a note is of at most."""


def shown_classes(labels: pd.Series | np.ndarray, classes: list[str]) -> tuple[list[str], str]:
    """The classes that figures show, in their order, and a sentence on those that they leave out, if any.

    Args:
        labels: true ones, by which the most frequent classes are found.
        classes: all of them.
    """
    if len(classes) <= MOST_SHOWN:
        return list(classes), ""
    counts = pd.Series(labels).value_counts()
    places = sorted(range(len(classes)), key=lambda place: (-int(counts.get(classes[place], 0)), place))[:MOST_SHOWN]
    return [classes[place] for place in sorted(places)], f"The {MOST_SHOWN} most frequent of {len(classes):,} classes."


def detection_curves(
    truth: pd.DataFrame, predictions: pd.DataFrame, classes: list[str], iou: float = 0.5
) -> dict[str, ThresholdSweep]:
    """One scan of the confidences a class, over all images.

    Args:
        truth: true boxes, columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS, without rows of a negative class.
        classes: whose curves are wanted; one without boxes has undefined recall.
        iou: least overlap of a hit; see metrics.matching.
    """
    matches = match(truth, predictions, iou)
    curves = {}
    for name in classes:
        mine = matches.detections[matches.detections["label"] == name]
        curves[name] = sweep_thresholds(
            mine["hit"], mine["score"], positives=int((matches.truths["label"] == name).sum())
        )
    return curves


def best_confidences(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: list[str],
    iou: float = 0.5,
    beta: float = 1.0,
    sensitivity: float | None = None,
) -> dict[str, Choice]:
    """For each class the confidence with the best F-beta, or of a required sensitivity."""
    curves = detection_curves(truth, predictions, classes, iou)
    return {name: pick_threshold(points, beta, sensitivity) for name, points in curves.items()}


def classification_curves(
    truth: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> dict[str, ThresholdSweep]:
    """One scan a class, one against the rest, for truth (N,) class numbers and probabilities (N, C)."""
    return {name: sweep_thresholds(truth == number, probabilities[:, number]) for number, name in enumerate(classes)}
