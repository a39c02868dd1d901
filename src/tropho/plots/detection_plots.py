"""Figures of detections: PR and F curves, confusion, recall by size, counts, galleries."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.images.decode import ImageReader
from tropho.metrics.curves import detection_curves, shown_classes
from tropho.metrics.leaderboard_map import rank
from tropho.metrics.matching import Matches, match
from tropho.metrics.threshold_sweep import ratio
from tropho.plots import galleries, panels, style
from tropho.tables import BOX

BACKGROUND = "nothing"
NO_CLASS = "\0"  # a label that no truth has


def detection_figures(  # noqa: PLR0913, PLR0917 - what figures of detections need
    truth_images: pd.DataFrame,
    truth_boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    negative: str | None,
    reader: ImageReader,
    to: Path,
    iou: float = 0.5,
    thresholds: Mapping[str, Any] | None = None,
    gallery: int = 24,
    beta: float = 1.0,
) -> None:
    """Write PNG figures into the folder `to`; those that need a truth only where there are true boxes.

    Args:
        truth_images: columns image_id, path (below the reader's folder).
        truth_boxes: columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS, rows of the negative class included.
        classes: the detector's classes, in order.
        negative: the name of the negative class, if the task has one.
        reader: of the original images; those that can't be read are left out of the galleries.
        to: folder, made if needed.
        iou: least overlap of a hit.
        thresholds: {class: confidence or {"threshold": ...}}; boxes below it are not counted or
            drawn. Where a class has none, its best of these very predictions is used.
        gallery: most pictures in the galleries; 0 = none.
        beta: of the F-beta over confidence.
    """
    boxes = predictions[predictions["label"].isin(list(classes))]
    curves = detection_curves(truth_boxes, boxes, list(classes), iou)
    cuts = {name: _cut(thresholds, name, curves[name].f_beta(beta), curves[name].threshold) for name in classes}
    kept = boxes[boxes["score"] >= boxes["label"].map(cuts).astype(float)]
    matches = match(truth_boxes, kept, iou)
    known = len(truth_boxes) > 0
    galleries.box_galleries(truth_images, matches, known, reader, to, gallery)
    if not known:
        return
    shown, left_out = shown_classes(truth_boxes["label"], list(classes))
    of_shown = {name: curves[name] for name in shown}
    true, found = (table[table["label"].isin(shown)] for table in (truth_boxes, kept))
    figures = {
        "precision_recall": leaderboard_curves(truth_images, truth_boxes, predictions, shown, negative),
        "f_confidence": panels.f_over_threshold(of_shown, thresholds, beta, "confidence"),
        "confusion": _confusion(true, found, shown, iou),
        "recall_by_size": recall_by_size(matches, shown),
        "counts": counts(truth_images, truth_boxes, kept, shown),
    }
    for figure in figures.values():
        style.footnote(figure, left_out)
    if negative and (predictions["label"] == negative).any():
        figures["negative"] = _negative(truth_images, truth_boxes, predictions, negative)
    for name, figure in figures.items():
        style.save(figure, to / f"{name}.png")


def _cut(thresholds: Mapping[str, Any] | None, name: str, score: np.ndarray, threshold: np.ndarray) -> float:
    chosen = panels.threshold_of(thresholds, name)
    if chosen is not None:
        return chosen
    return 0.5 if len(score) == 0 or np.isnan(score).all() else float(threshold[np.nanargmax(score)])


def leaderboard_curves(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    negative: str | None,
) -> Figure:
    """Precision over recall as the leaderboard counts them, with its average precision; see metrics.boxes."""
    truth = boxes[["image_id", "label", *BOX]]
    if negative:
        without = images.loc[~images["image_id"].isin(boxes["image_id"]), ["image_id"]]
        truth = pd.concat([truth, without.assign(label=negative, **dict.fromkeys(BOX, 0.0))])
    silent = images.loc[~images["image_id"].isin(predictions["image_id"]), ["image_id"]]
    filler = silent.assign(label=NO_CLASS, score=0.0, **dict.fromkeys(BOX, 0.0))
    ranking = rank(truth, pd.concat([predictions, filler]) if len(filler) else predictions)
    lines = {}
    for name in [*classes, *([negative] if negative else [])]:
        ranked = ranking.classes.get(name)
        if ranked is None:
            lines[name] = np.empty(0), np.empty(0), float("nan")
            continue
        found = np.cumsum(ranked.hit)
        precision = found / np.arange(1, len(found) + 1)
        lines[name] = found / ranked.truths.sum(), precision, float(ranked.average_precision())
    return panels.precision_recall(lines)


def _confusion(truth: pd.DataFrame, kept: pd.DataFrame, classes: Sequence[str], iou: float) -> Figure:
    """Boxes matched whatever their class; what is left over meets the background."""
    matches = match(truth.assign(label="any", name=truth["label"]), kept.assign(label="any", name=kept["label"]), iou)
    place = {name: number for number, name in enumerate(classes)}
    none = len(classes)
    table = np.zeros((none + 1, none + 1), np.int64)
    true = matches.truths["name"].map(place).fillna(none).to_numpy(np.int64)
    found = matches.detections["name"].map(place).to_numpy(np.int64)
    partner = matches.truths["detection_row"].to_numpy()
    np.add.at(table, (true, np.where(partner >= 0, np.append(found, none)[partner], none)), 1)
    false = ~matches.detections["hit"].to_numpy(bool)
    np.add.at(table, (none, found[false]), 1)
    names = [*classes, BACKGROUND]
    return panels.confusion(table, names, names, f"True and predicted, IoU ≥ {iou:g}")


def recall_by_size(matches: Matches, classes: Sequence[str], bins: int = 6) -> Figure:
    """The share of objects found, by the square root of their area, in bins of equally many objects."""
    truths = matches.truths
    area = (truths["xmax"] - truths["xmin"]) * (truths["ymax"] - truths["ymin"])
    size = np.sqrt(area.to_numpy(np.float64).clip(min=0))
    edges = np.unique(np.quantile(size, np.linspace(0, 1, bins + 1)).round(1))
    place = np.clip(np.searchsorted(edges, size, side="right") - 1, 0, max(0, len(edges) - 2))
    count = max(1, len(edges) - 1)
    spans = [f"{low:.0f}–{high:.0f}" for low, high in pairwise(edges)] or [f"{edges[0]:.0f}"]
    values, hit = {}, truths["hit"].to_numpy(bool)
    for name in classes:
        mine = (truths["label"] == name).to_numpy(bool)
        total = np.bincount(place[mine], minlength=count)
        if total.sum():
            values[style.plain(name)] = ratio(np.bincount(place[mine & hit], minlength=count), total)
    labels = [f"{span}\n({number:,})" for span, number in zip(spans, np.bincount(place, minlength=count), strict=True)]
    figure = panels.grouped_bars(values, spans, "Recall by object size", undefined="")
    axes = figure.axes[0]
    axes.set_xticks(range(count), labels, rotation=0, ha="center")
    style.label(axes, "size, √(width × height) in pixels (how many objects)", "recall")
    return figure


def counts(images: pd.DataFrame, truth: pd.DataFrame, kept: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Objects an image: how many were predicted over how many there are."""
    figure, axes = style.small_panels(len(classes))
    names = list(images["image_id"].unique())
    for index, (name, panel) in enumerate(zip(classes, axes, strict=True)):
        true, found = (
            table.loc[table["label"] == name, "image_id"].value_counts().reindex(names, fill_value=0).to_numpy()
            for table in (truth, kept)
        )
        most = max(1, true.max(initial=0), found.max(initial=0))
        points, times = np.unique(np.stack([true, found], axis=1), axis=0, return_counts=True)
        area = 18 * np.sqrt(times)
        panel.plot([0, most], [0, most], color=style.FAINT, linewidth=0.8, linestyle=":")
        panel.scatter(points[:, 0], points[:, 1], area, color=style.colour_of(index), alpha=0.6, linewidths=0)
        error = np.abs(found - true).mean() if len(true) else 0.0
        style.title(panel, f"{style.plain(name, 20)}: off by {error:.1f} on average")
        style.label(panel, "true objects in the image", "predicted objects")
        for axis in (panel.xaxis, panel.yaxis):
            style.whole_numbers(axis)
    return figure


def _negative(images: pd.DataFrame, truth: pd.DataFrame, predictions: pd.DataFrame, negative: str) -> Figure:
    rows = predictions[(predictions["label"] == negative) & predictions["image_id"].isin(images["image_id"])]
    occupied = rows["image_id"].isin(truth["image_id"]).to_numpy(bool)
    score = rows["score"].to_numpy(np.float64)
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    groups = {"images without objects": score[~occupied], "images with objects": score[occupied]}
    panels.histograms(axes, groups, (style.colour_of(0), style.colour_of(1)))
    style.title(axes, f"P({style.plain(negative)})")
    style.label(axes, "probability", "share of images")
    style.legend(axes)
    return figure
