"""Plots of detections: precision-recall and F curves, confusion, recall by size, counts, galleries."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.images.decode import ImageReader
from tropho.metrics.confusion import ratio
from tropho.metrics.curves import detection_curves, shown_classes
from tropho.metrics.leaderboard_map import rank
from tropho.metrics.matching import Matches, match
from tropho.plots import galleries, panels, style
from tropho.tables import BOX

BACKGROUND = "background"
NO_CLASS = "\0"  # a label that no ground truth has


def detection_figures(  # noqa: PLR0913, PLR0917 - what plots of detections need
    truth_images: pd.DataFrame,
    truth_boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    negative: str | None,
    reader: ImageReader,
    folder: Path,
    iou: float = 0.5,
    thresholds: Mapping[str, Any] | None = None,
    gallery: int = 24,
    beta: float = 1.0,
) -> None:
    """Write PNG plots; those that need ground truth only if there are true boxes.

    Args:
        truth_images: columns image_id, path (below the reader's folder).
        truth_boxes: columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS, rows of the negative class included.
        classes: the detector's classes, in order.
        negative: name of the negative class, if the task has one.
        reader: of the original images; those that can't be read are left out of the galleries.
        folder: made if needed.
        iou: least overlap of a hit.
        thresholds: {class: score or {"threshold": ...}} of boxes that count; a class without one uses its best here.
        gallery: images in the galleries at most; 0 = none.
        beta: of F-beta over the confidence.
    """
    boxes = predictions[predictions["label"].isin(list(classes))]
    curves = detection_curves(truth_boxes, boxes, list(classes), iou)
    cuts = {name: panels.marked_threshold(thresholds, name, curves[name], beta)[0] for name in classes}
    kept = boxes[boxes["score"] >= boxes["label"].map(cuts).astype(float)]
    matches = match(truth_boxes, kept, iou)
    galleries.box_galleries(truth_images, matches, len(truth_boxes) > 0, reader, folder, gallery)
    if truth_boxes.empty:
        return
    shown, note = shown_classes(truth_boxes["label"], list(classes))
    figures = {
        "precision_recall": leaderboard_curves(truth_images, truth_boxes, predictions, shown, negative),
        "f_confidence": panels.f_over_threshold({c: curves[c] for c in shown}, thresholds, beta, "confidence"),
        "confusion": _confusion(truth_boxes, kept, shown, iou),
        "recall_by_size": recall_by_size(matches, shown),
        "counts": counts(truth_images, truth_boxes, kept, shown),
    }
    for figure in figures.values():
        style.footnote(figure, note)
    if negative and (predictions["label"] == negative).any():
        figures["negative"] = _negative(truth_images, truth_boxes, predictions, negative)
    for name, figure in figures.items():
        style.save(figure, folder / f"{name}.png")


def leaderboard_curves(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    negative: str | None,
) -> Figure:
    """Plot precision over recall as metrics.leaderboard_map counts them, with its average precision."""
    truth = boxes[["image_id", "label", *BOX]]
    if negative:
        empty = images.loc[~images["image_id"].isin(boxes["image_id"]), ["image_id"]]
        truth = pd.concat([truth, empty.assign(label=negative, **dict.fromkeys(BOX, 0.0))])
    unpredicted = images.loc[~images["image_id"].isin(predictions["image_id"]), ["image_id"]]
    filler = unpredicted.assign(label=NO_CLASS, score=0.0, **dict.fromkeys(BOX, 0.0))
    ranking = rank(truth, pd.concat([predictions, filler]) if len(filler) else predictions)
    lines = {}
    for name in [*classes, *([negative] if negative else [])]:
        lines[name] = np.empty(0), np.empty(0), float("nan")
        if ranked := ranking.classes.get(name):
            tp = np.cumsum(ranked.is_tp)
            precision = tp / np.arange(1, len(tp) + 1)
            lines[name] = tp / ranked.n_gt.sum(), precision, float(ranked.average_precision())
    return panels.precision_recall(lines)


def _confusion(gt: pd.DataFrame, pred: pd.DataFrame, classes: Sequence[str], iou: float) -> Figure:
    """Match boxes of any of the classes, and count those without a match against the background."""
    gt, pred = (table[table["label"].isin(classes)] for table in (gt, pred))
    matches = match(gt.assign(label="any", name=gt["label"]), pred.assign(label="any", name=pred["label"]), iou)
    index = {name: i for i, name in enumerate(classes)}
    background = len(classes)
    table = np.zeros((background + 1, background + 1), np.int64)
    true = matches.truths["name"].map(index).fillna(background).to_numpy(np.int64)
    predicted = matches.detections["name"].map(index).to_numpy(np.int64)
    partner = matches.truths["detection_row"].to_numpy()
    columns = np.where(partner >= 0, np.append(predicted, background)[partner], background)
    np.add.at(table, (true, columns), 1)
    np.add.at(table, (background, predicted[~matches.detections["hit"].to_numpy(bool)]), 1)
    return panels.confusion(table, [*classes, BACKGROUND], f"True and predicted, IoU ≥ {iou:g}")


def recall_by_size(matches: Matches, classes: Sequence[str], bins: int = 6) -> Figure:
    """Plot recall over the square root of the area, in bins of equally many objects."""
    gt = matches.truths
    area = (gt["xmax"] - gt["xmin"]) * (gt["ymax"] - gt["ymin"])
    size = np.sqrt(area.to_numpy(np.float64).clip(min=0))  # (N,) pixels
    edges = np.unique(np.quantile(size, np.linspace(0, 1, bins + 1)).round(1))
    n_bins = max(1, len(edges) - 1)
    bin_of = np.clip(np.searchsorted(edges, size, side="right") - 1, 0, n_bins - 1)
    spans = [f"{low:.0f}–{high:.0f}" for low, high in pairwise(edges)] or [f"{edges[0]:.0f}"]
    values, hit = {}, gt["hit"].to_numpy(bool)
    for name in classes:
        mask = (gt["label"] == name).to_numpy(bool)
        total = np.bincount(bin_of[mask], minlength=n_bins)
        if total.sum():
            values[style.plain(name)] = ratio(np.bincount(bin_of[mask & hit], minlength=n_bins), total)
    figure = panels.grouped_bars(values, spans, "Recall by object size", undefined="")
    axes, totals = figure.axes[0], np.bincount(bin_of, minlength=n_bins)
    labels = [f"{span}\n({n:,})" for span, n in zip(spans, totals, strict=True)]
    axes.set_xticks(range(n_bins), labels, rotation=0, ha="center")
    axes.set(xlabel="size, √(width × height) in pixels (number of objects)", ylabel="recall")
    return figure


def counts(images: pd.DataFrame, gt: pd.DataFrame, pred: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Plot the predicted over the true number of objects per image, one panel a class."""
    figure, axes = style.small_panels(len(classes))
    names = list(images["image_id"].unique())
    for index, (name, panel) in enumerate(zip(classes, axes, strict=True)):
        true, predicted = (
            table.loc[table["label"] == name, "image_id"].value_counts().reindex(names, fill_value=0).to_numpy()
            for table in (gt, pred)
        )
        most = max(1, true.max(initial=0), predicted.max(initial=0))
        points, times = np.unique(np.stack([true, predicted], axis=1), axis=0, return_counts=True)
        panel.plot([0, most], [0, most], color=style.FAINT, linewidth=0.8, linestyle=":")
        area, colour = 18 * np.sqrt(times), style.colour_of(index)
        panel.scatter(points[:, 0], points[:, 1], area, color=colour, alpha=0.6, linewidths=0)
        error = np.abs(predicted - true).mean() if len(true) else 0.0
        text = f"{style.plain(name, 20)}: mean error {error:.1f}"
        style.title(panel, text, "true objects in the image", "predicted objects")
        for axis in (panel.xaxis, panel.yaxis):
            style.whole_numbers(axis)
    return figure


def _negative(images: pd.DataFrame, gt: pd.DataFrame, predictions: pd.DataFrame, negative: str) -> Figure:
    """Plot the score of the negative class in images without and with objects."""
    rows = predictions[(predictions["label"] == negative) & predictions["image_id"].isin(images["image_id"])]
    has_objects = rows["image_id"].isin(gt["image_id"]).to_numpy(bool)
    score = rows["score"].to_numpy(np.float64)
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    groups = {"images without objects": score[~has_objects], "images with objects": score[has_objects]}
    panels.histograms(axes, groups, (style.colour_of(0), style.colour_of(1)))
    style.title(axes, f"P({style.plain(negative)})", "probability", "share of images")
    style.legend(axes)
    return figure
