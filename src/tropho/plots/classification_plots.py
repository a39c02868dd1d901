"""Plots of class predictions: confusion, ROC, precision-recall, reliability, thresholds, scores, galleries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.images.decode import ImageReader
from tropho.metrics.calibration import calibration_error, reliability_bins
from tropho.metrics.confusion import ratio
from tropho.metrics.curves import ThresholdSweep, classification_curves, shown_classes
from tropho.plots import galleries, panels, style

BINS = 10
OTHER_CLASSES = "all others"
Curves = Mapping[str, ThresholdSweep]


def classification_figures(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    reader: ImageReader,
    folder: Path,
    beta: float = 1.0,
    gallery: int = 24,
    thresholds: Mapping[str, Any] | None = None,
    uncalibrated: pd.DataFrame | None = None,
) -> None:
    """Write PNG plots; those that need labels only if there are labelled images.

    Args:
        truth: columns image_id, label (empty if unknown), path (below the reader's folder).
        predictions: columns image_id, label, p_<class>; images that are not in `truth` are ignored.
        classes: in the order of their numbers.
        reader: of the original images; those that can't be read are left out of the galleries.
        folder: made if needed.
        beta: of F-beta over the threshold.
        gallery: images a gallery at most; 0 = no gallery.
        thresholds: {class: threshold or {"threshold": ...}} to mark.
        uncalibrated: `predictions` before temperature scaling, for the reliability diagram.
    """
    table = predictions.merge(truth[["image_id", "label", "path"]], on="image_id", suffixes=("", "_true"))
    galleries.class_galleries(table, classes, reader, folder, gallery)
    known = table[table["label_true"].isin(classes)]
    if known.empty:
        return
    columns = [f"p_{name}" for name in classes]
    stages = {"as predicted": known[columns].to_numpy(np.float64)}
    if uncalibrated is not None:
        raw = uncalibrated.set_index("image_id").loc[known["image_id"], columns].to_numpy(np.float64)
        if not np.allclose(raw, stages["as predicted"]):
            stages = {"as trained": raw, "with temperature": stages["as predicted"]}
    numbers = {name: number for number, name in enumerate(classes)}
    true = known["label_true"].map(numbers).to_numpy(np.int64)
    style.save(reliability(true, stages), folder / "reliability.png")
    _by_class(known, classes, folder, beta, thresholds)


def _by_class(
    known: pd.DataFrame, classes: Sequence[str], folder: Path, beta: float, thresholds: Mapping[str, Any] | None
) -> None:
    """Write the plots with one curve or panel a class, of the most frequent classes if there are many."""
    shown, note = shown_classes(known["label_true"], list(classes))
    names = [*shown, *([OTHER_CLASSES] if note else [])]
    index = {name: i for i, name in enumerate(shown)}
    true, predicted = (known[key].map(index).fillna(len(shown)).to_numpy(np.int64) for key in ("label_true", "label"))
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    probabilities = known[[f"p_{name}" for name in shown]].to_numpy(np.float64)  # (N, C)
    curves = classification_curves(true, probabilities, shown)
    lines = {name: (c.recall, c.precision, float(c.average_precision())) for name, c in curves.items()}
    shares = {name: float(c.positives / (c.positives + c.negatives)) for name, c in curves.items()}
    figures = {
        "confusion": panels.confusion(counts, names, "True and predicted classes"),
        "roc": roc(curves),
        "precision_recall": panels.precision_recall(lines, shares),
        "f_threshold": panels.f_over_threshold(curves, thresholds, beta, "threshold"),
        "scores": scores(true, probabilities, shown),
        "per_class": per_class(counts, shown),
    }
    for name, figure in figures.items():
        style.footnote(figure, note)
        style.save(figure, folder / f"{name}.png")


def roc(curves: Curves) -> Figure:
    """Plot the true over the false positive rate, each class against the rest, with areas in the legend."""
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    style.title(axes, "ROC, each class against the rest", "false positive rate", "true positive rate")
    axes.set(xlim=style.UNIT, ylim=style.UNIT)
    axes.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.8, linestyle=":")
    for index, (name, points) in enumerate(curves.items()):
        area = float(points.roc_auc())
        text = f"{style.plain(name)}: {'undefined' if np.isnan(area) else f'AUC {area:.3f}'}"
        fpr, tpr = np.insert(points.fpr, 0, 0.0), np.insert(points.recall, 0, 0.0)
        axes.plot(fpr, tpr, style.line_of(index), color=style.colour_of(index), linewidth=2, label=text)
    style.legend(axes, outside=True)
    return figure


def reliability(true: np.ndarray, stages: Mapping[str, np.ndarray]) -> Figure:
    """Plot the accuracy at each confidence, and the number of images at it.

    Args:
        true: (N,) class numbers.
        stages: name -> probabilities (N, C), such as before and after temperature scaling.
    """
    figure, (axes, bars) = style.subplots(2, 2, style.HALF)
    style.title(axes, "Reliability", "mean confidence", "accuracy")
    axes.set(xlim=style.UNIT, ylim=style.UNIT)
    axes.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.8, linestyle=":", label="calibrated")
    for i, (name, probabilities) in enumerate(stages.items()):
        bins = reliability_bins(true, probabilities, BINS)
        bins = bins[bins["count"] > 0]
        accuracy, colour = bins["accuracy"], style.colour_of(len(stages) - 1 - i)
        label = f"{name}: ECE {float(calibration_error(true, probabilities)):.3f}"
        error = np.sqrt(accuracy * (1 - accuracy) / bins["count"])
        axes.errorbar(bins["confidence"], accuracy, error, marker="o", markersize=4, color=colour, label=label)
        width = 0.9 / BINS / len(stages)
        x = (bins["low"] + bins["high"]) / 2 + (i - (len(stages) - 1) / 2) * width
        bars.bar(x, bins["count"], width, color=colour, label=name if len(stages) > 1 else "")
    style.legend(axes)
    style.title(bars, "Images at each confidence", "confidence", "images")
    bars.set_xlim(style.UNIT)
    if len(stages) > 1:
        style.legend(bars)
    return figure


def scores(true: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Figure:
    """Plot one panel a class: its probability in images of the class and in the others.

    Args:
        true: (N,) columns of `probabilities`.
        probabilities: (N, C).
        classes: C names.
    """
    figure, axes = style.small_panels(len(classes))
    for i, (name, panel) in enumerate(zip(classes, axes, strict=True)):
        groups = {name: probabilities[true == i, i], "others": probabilities[true != i, i]}
        panels.histograms(panel, groups, (style.colour_of(i), style.FAINT))
        style.title(panel, f"P({style.plain(name, 20)})", "probability", "share of images")
        style.legend(panel)
    return figure


def per_class(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Plot precision, recall and F1 of the first classes of a confusion matrix (true, predicted)."""
    tp, n_true, n_pred = (part[: len(classes)] for part in (np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)))
    f1 = np.where(n_true > 0, ratio(2 * tp, n_true + n_pred), np.nan)
    values = {"precision": ratio(tp, n_pred), "recall": ratio(tp, n_true), "F1": f1}
    return panels.grouped_bars(values, classes, "Precision, recall and F1 by class")
