"""Charts of both kinds of task: precision-recall, F over the threshold, confusion, histograms, bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tropho.metrics.curves import ThresholdSweep
from tropho.plots import style


def marked_threshold(
    thresholds: Mapping[str, Any] | None, name: str, curve: ThresholdSweep, beta: float
) -> tuple[float, bool]:
    """Give the threshold of a class from {class: {"threshold": number or None}}, else its best, else 0.5.

    Returns: the threshold, and whether it was given.
    """
    known: float | None = (thresholds or {}).get(name, {}).get("threshold")
    if known is not None:
        return known, True
    f_beta = curve.f_beta(beta)
    return (0.5 if np.isnan(f_beta).all() else float(curve.threshold[np.nanargmax(f_beta)])), False


def precision_recall(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray, float]], shares: Mapping[str, float] | None = None
) -> Figure:
    """Plot precision over recall.

    Args:
        lines: class -> recall (K,), precision (K,), area; NaN where undefined, and an area of NaN is labelled absent.
        shares: class -> share of positives, the precision of a guess; drawn as a faint line.
    """
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    style.title(axes, "Precision over recall", "recall", "precision")
    axes.set(xlim=style.UNIT, ylim=style.UNIT)
    for index, (name, (recall, precision, area)) in enumerate(lines.items()):
        colour, result = style.colour_of(index), "absent" if np.isnan(area) else f"AP {area:.3f}"
        known = np.isfinite(recall) & np.isfinite(precision)
        first = precision[known][:1]  # the curve starts at recall 0
        x, y = np.append(0 * first, recall[known]), np.append(first, precision[known])
        text = f"{style.plain(name)}: {result}"
        axes.plot(x, y, style.line_of(index), color=colour, linewidth=2, label=text)
        if shares and name in shares:
            axes.axhline(shares[name], color=colour, linewidth=0.8, linestyle=":")
    style.legend(axes, outside=True)
    return figure


def f_over_threshold(
    curves: Mapping[str, ThresholdSweep], thresholds: Mapping[str, Any] | None, beta: float, x_label: str
) -> Figure:
    """Plot F-beta over the threshold, one line a class; a dot and a thin line mark the chosen threshold.

    A class without a threshold has an open dot at the best one of these predictions.
    """
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    style.title(axes, f"F{beta:g} over {x_label}", x_label, f"F{beta:g}")
    axes.set(xlim=style.UNIT, ylim=style.UNIT)
    for index, (name, points) in enumerate(curves.items()):
        score, colour = points.f_beta(beta), style.colour_of(index)
        if np.isnan(score).all():  # or empty
            axes.plot([], [], style.line_of(index), color=colour, label=f"{style.plain(name)}: absent")
            continue
        mark, is_given = marked_threshold(thresholds, name, points, beta)
        above = np.flatnonzero(points.threshold >= mark - 1e-12)
        height = float(score[above[-1]]) if len(above) else 0.0
        text = f"{style.plain(name)}: {height:.3f} at {mark:.2f}"
        axes.step(points.threshold, score, where="pre", color=colour, linestyle=style.line_of(index), label=text)
        axes.plot(mark, height, "o", color=colour, markerfacecolor=colour if is_given else "white")
        axes.axvline(mark, color=colour, linewidth=0.8, linestyle=":")
    style.legend(axes, outside=True)
    return figure


def confusion(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Plot counts (C, C) of true classes by predicted ones, with shares of the row, dark where the share is high."""
    size = max(3.4, 0.95 * len(classes) + 1.6), max(3.0, 0.75 * len(classes) + 1.4)
    figure, (axes,) = style.subplots(1, 1, size)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    style.class_ticks(axes, classes, "x")
    style.class_ticks(axes, classes, "y")
    style.title(axes, title, "predicted", "true")
    for (row, column), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else style.INK
        text = f"{int(counts[row, column]):,}" + (f"\n{share:.0%}" if totals[row, 0] else "")
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9 if len(classes) < 9 else 7)
    return figure


def histograms(axes: Axes, groups: Mapping[str, np.ndarray], colours: Sequence[str]) -> None:
    """Draw outlined histograms over 0..1, each as shares of its group, so that groups of any size compare."""
    edges = np.linspace(0, 1, 26).tolist()
    for (name, values), colour in zip(groups.items(), colours, strict=True):
        if len(values) == 0:
            continue
        weights = np.full(len(values), 1 / len(values))
        text = f"{style.plain(name)} ({len(values):,})"
        axes.hist(values, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(values, edges, weights=weights, histtype="step", color=colour, linewidth=1.8, label=text)
    axes.set_xlim(style.UNIT)


def grouped_bars(
    values: Mapping[str, np.ndarray], groups: Sequence[str], title: str, undefined: str = "undef."
) -> Figure:
    """Plot bars of 0..1 side by side.

    Args:
        values: measure -> one number a group.
        groups: names along x.
        title: of the panel.
        undefined: text in place of a bar that is NaN.
    """
    figure, (axes,) = style.subplots(1, 1, (max(style.HALF[0], 0.9 * len(groups) + 1), 3.6))
    width = 0.8 / max(1, len(values))
    for index, (name, heights) in enumerate(values.items()):
        places = np.arange(len(groups)) + (index - (len(values) - 1) / 2) * width
        known = np.nan_to_num(heights)
        bars = axes.bar(places, known, width * 0.92, color=style.colour_of(index), label=name)
        texts = [undefined if np.isnan(height) else f"{height:.2f}" for height in heights]
        axes.bar_label(bars, texts, fontsize=7 if len(groups) > 6 else 8, padding=2, color=style.FAINT)
    axes.set_ylim(0, 1.1)
    axes.grid(visible=False, axis="x")
    style.class_ticks(axes, groups)
    style.title(axes, title)
    style.legend(axes, outside=True)
    return figure
