"""Figures of class predictions: confusion, ROC, PR, reliability, thresholds, scores, galleries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.images.decode import ImageReader
from tropho.metrics.calibration import calibration_error, reliability_bins
from tropho.metrics.curves import classification_curves, shown_classes
from tropho.metrics.threshold_sweep import ThresholdSweep, ratio
from tropho.plots import galleries, panels, style

BINS = 10
OTHERS = "all others"


def classification_figures(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    reader: ImageReader,
    to: Path,
    beta: float = 1.0,
    gallery: int = 24,
    thresholds: Mapping[str, Any] | None = None,
    uncalibrated: pd.DataFrame | None = None,
) -> None:
    """Write PNG figures into the folder `to`; those that need a truth only where there is one.

    Args:
        truth: columns image_id, label (empty where unknown), path (below the reader's folder).
        predictions: columns image_id, label, p_<class>; images that are not in `truth` are ignored.
        classes: in the order of their numbers.
        reader: of the original images; those that can't be read are left out of the galleries.
        to: folder, made if needed.
        beta: of the F-beta over threshold.
        gallery: most pictures a gallery may have; 0 = no gallery.
        thresholds: {class: threshold or {"threshold": ...}} chosen on validation, to be marked.
        uncalibrated: `predictions` before a temperature was applied, for the reliability diagram.
    """
    table = predictions.merge(truth[["image_id", "label", "path"]], on="image_id", suffixes=("", "_true"))
    galleries.class_galleries(table, classes, reader, to, gallery)
    known = table[table["label_true"].isin(classes)]
    if known.empty:
        return
    numbers = {name: number for number, name in enumerate(classes)}
    true = known["label_true"].map(numbers).to_numpy(np.int64)
    probabilities = known[[f"p_{name}" for name in classes]].to_numpy(np.float64)
    shown, left_out = shown_classes(known["label_true"], list(classes))
    rest = [OTHERS] if left_out else []
    place = {name: number for number, name in enumerate(shown)}
    counts = np.zeros((len(shown) + len(rest), len(shown) + len(rest)), np.int64)
    rows, columns = (known[each].map(place).fillna(len(shown)).to_numpy(np.int64) for each in ("label_true", "label"))
    np.add.at(counts, (rows, columns), 1)
    of_shown = probabilities[:, [numbers[name] for name in shown]]
    curves = classification_curves(rows, of_shown, shown)
    stages = {"as predicted": probabilities}
    if uncalibrated is not None and not np.allclose(_of(uncalibrated, known, classes), probabilities):
        stages = {"as trained": _of(uncalibrated, known, classes), "with temperature": probabilities}
    figures = {
        "confusion": panels.confusion(counts, [*shown, *rest], [*shown, *rest], "True and predicted classes"),
        "roc": roc(curves),
        "precision_recall": _precision_recall(curves),
        "reliability": reliability(true, stages),
        "f_threshold": panels.f_over_threshold(curves, thresholds, beta, "threshold"),
        "scores": scores(rows, of_shown, shown),
        "per_class": per_class(counts, shown),
    }
    for name, figure in figures.items():
        style.footnote(figure, left_out if name != "reliability" else "")
        style.save(figure, to / f"{name}.png")


def _of(predictions: pd.DataFrame, known: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Probabilities (N, C) of the images of `known`, in its order."""
    rows = predictions.set_index("image_id").loc[known["image_id"]]
    return rows[[f"p_{name}" for name in classes]].to_numpy(np.float64)


def roc(curves: Mapping[str, ThresholdSweep]) -> Figure:
    """True positive rate over false positive rate, one class against the rest, with the areas."""
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    style.title(axes, "ROC, each class against the rest")
    style.label(axes, "false positive rate", "true positive rate")
    style.unit_square(axes)
    axes.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.8, linestyle=":")
    for index, (name, points) in enumerate(curves.items()):
        area = float(points.roc_auc())
        told = "undefined" if np.isnan(area) else f"AUC {area:.3f}"
        across, up = np.insert(points.fall_out, 0, 0.0), np.insert(points.recall, 0, 0.0)
        text = f"{style.plain(name)}: {told}"
        colour = style.colour_of(index)
        axes.plot(across, up, style.line_of(index), color=colour, linewidth=2, label=text)
    style.legend(axes, outside=True)
    return figure


def _precision_recall(curves: Mapping[str, ThresholdSweep]) -> Figure:
    lines = {
        name: (points.recall, points.precision, float(points.average_precision())) for name, points in curves.items()
    }
    shares = {name: float(points.positives / (points.positives + points.negatives)) for name, points in curves.items()}
    return panels.precision_recall(lines, shares)


def reliability(true: np.ndarray, stages: Mapping[str, np.ndarray]) -> Figure:
    """How often predictions are right at each confidence, with how many there are of it.

    Args:
        true: (N,) class numbers.
        stages: probabilities (N, C) by name, such as before and after a temperature.
    """
    figure, (axes, bars) = style.subplots(2, 2, style.HALF)
    style.title(axes, "Reliability")
    style.label(axes, "mean confidence", "share that is right")
    style.unit_square(axes)
    axes.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.8, linestyle=":", label="calibrated")
    for number, (name, probabilities) in enumerate(stages.items()):
        bins = reliability_bins(true, probabilities, BINS)
        bins = bins[bins["count"] > 0]
        share, colour = bins["accuracy"], style.colour_of(len(stages) - 1 - number)
        told = f"{name}: ECE {float(calibration_error(true, probabilities)):.3f}"
        error = np.sqrt(share * (1 - share) / bins["count"])
        axes.errorbar(bins["confidence"], share, error, marker="o", markersize=4, color=colour, label=told)
        middle = (bins["low"] + bins["high"]) / 2
        width = 0.9 / BINS / len(stages)
        place = middle + (number - (len(stages) - 1) / 2) * width
        bars.bar(place, bins["count"], width, color=colour, label=name if len(stages) > 1 else "")
    style.legend(axes)
    style.title(bars, "Predictions at each confidence")
    style.label(bars, "confidence", "images")
    bars.set_xlim(-0.02, 1.02)
    if len(stages) > 1:
        style.legend(bars)
    return figure


def scores(true: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Figure:
    """A panel a class: its probability, for images of the class and for the others."""
    figure, axes = style.small_panels(len(classes))
    for number, (name, panel) in enumerate(zip(classes, axes, strict=True)):
        mine = true == number
        groups = {name: probabilities[mine, number], "others": probabilities[~mine, number]}
        panels.histograms(panel, groups, (style.colour_of(number), style.FAINT))
        style.title(panel, f"P({style.plain(name, 20)})")
        style.label(panel, "probability", "share of images")
        style.legend(panel)
    return figure


def per_class(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Precision, recall and F1 from confusion counts (true, predicted), the first of which are of `classes`."""
    right, true, found = (each[: len(classes)] for each in (np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)))
    f1 = np.where(true > 0, ratio(2 * right, true + found), np.nan)
    values = {"precision": ratio(right, found), "recall": ratio(right, true), "F1": f1}
    return panels.grouped_bars(values, classes, "Precision, recall and F1 by class")
