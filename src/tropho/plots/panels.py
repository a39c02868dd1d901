"""Charts that both kinds of task use: precision over recall, F over the threshold, confusion, bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tropho.metrics.threshold_sweep import ThresholdSweep
from tropho.plots import style


def threshold_of(thresholds: Mapping[str, Any] | None, name: str) -> float | None:
    """The threshold of a class in what a task's `thresholds` returned: a number, or in a dict."""
    chosen = (thresholds or {}).get(name)
    if isinstance(chosen, Mapping):
        chosen = chosen.get("threshold")
    return None if chosen is None else float(chosen)


def precision_recall(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray, float]], shares: Mapping[str, float] | None = None
) -> Figure:
    """Precision over recall.

    Args:
        lines: class -> (recall (K,), precision (K,), area), NaN where undefined; a NaN area says absent.
        shares: class -> the share of positives, which a guess would reach; drawn as a faint line.
    """
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    style.title(axes, "Precision over recall")
    style.label(axes, "recall", "precision")
    style.unit_square(axes)
    for index, (name, (recall, precision, area)) in enumerate(lines.items()):
        colour, told = style.colour_of(index), "absent" if np.isnan(area) else f"AP {area:.3f}"
        known = np.isfinite(recall) & np.isfinite(precision)
        first = precision[known][:1]  # the curve starts where recall is still 0
        across, up = np.append(0 * first, recall[known]), np.append(first, precision[known])
        text = f"{style.plain(name)}: {told}"
        axes.plot(across, up, style.line_of(index), color=colour, linewidth=2, label=text)
        if shares and name in shares:
            axes.axhline(shares[name], color=colour, linewidth=0.8, linestyle=":")
    style.legend(axes, outside=True)
    return figure


def f_over_threshold(
    curves: Mapping[str, ThresholdSweep], thresholds: Mapping[str, Any] | None, beta: float, what: str
) -> Figure:
    """F-beta over the threshold, a line a class; a dot and a thin line mark the chosen threshold.

    Without `thresholds` the best of these very predictions is marked, as an open dot.
    """
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    style.title(axes, f"F{beta:g} over {what}")
    style.label(axes, what, f"F{beta:g}")
    style.unit_square(axes)
    for index, (name, points) in enumerate(curves.items()):
        score, colour = points.f_beta(beta), style.colour_of(index)
        if len(score) == 0 or np.isnan(score).all():
            axes.plot([], [], style.line_of(index), color=colour, label=f"{style.plain(name)}: absent")
            continue
        chosen = threshold_of(thresholds, name)
        mark = float(points.threshold[np.nanargmax(score)]) if chosen is None else chosen
        height = _height(points, score, mark)
        text = f"{style.plain(name)}: {height:.3f} at {mark:.2f}"
        axes.step(points.threshold, score, where="pre", color=colour, linestyle=style.line_of(index), label=text)
        axes.plot(mark, height, "o", color=colour, markerfacecolor="white" if chosen is None else colour)
        axes.axvline(mark, color=colour, linewidth=0.8, linestyle=":")
    style.legend(axes, outside=True)
    return figure


def _height(points: ThresholdSweep, score: np.ndarray, threshold: float) -> float:
    """The score where everything at or above `threshold` counts; 0 where nothing does."""
    above = np.flatnonzero(points.threshold >= threshold - 1e-12)
    return float(score[above[-1]]) if len(above) else 0.0


def confusion(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Counts (R, C) with the share of each row, dark where the share is high."""
    size = max(3.4, 0.95 * len(columns) + 1.6), max(3.0, 0.75 * len(rows) + 1.4)
    figure, (axes,) = style.subplots(1, 1, size)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    style.class_ticks(axes, columns, "x")
    style.class_ticks(axes, rows, "y")
    style.label(axes, "predicted", "true")
    style.title(axes, title)
    for (row, column), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else style.INK
        text = f"{int(counts[row, column]):,}" + (f"\n{share:.0%}" if totals[row, 0] else "")
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9 if len(columns) < 9 else 7)
    return figure


def histograms(axes: Axes, groups: Mapping[str, np.ndarray], colours: Sequence[str]) -> None:
    """Outlined histograms over 0 to 1, each as a share of its group, so that unequal groups compare."""
    edges = np.linspace(0, 1, 26).tolist()
    for (name, values), colour in zip(groups.items(), colours, strict=True):
        if len(values) == 0:
            continue
        weights = np.full(len(values), 1 / len(values))
        text = f"{style.plain(name)} ({len(values):,})"
        axes.hist(values, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(values, edges, weights=weights, histtype="step", color=colour, linewidth=1.8, label=text)
    axes.set_xlim(-0.02, 1.02)


def grouped_bars(
    values: Mapping[str, np.ndarray], groups: Sequence[str], title: str, undefined: str = "undef."
) -> Figure:
    """Bars of 0..1 side by side: `values` maps a measure's name to one number a group; `undefined` stands for NaN."""
    figure, (axes,) = style.subplots(1, 1, (max(style.HALF[0], 0.9 * len(groups) + 1), 3.6))
    width = 0.8 / max(1, len(values))
    for index, (name, heights) in enumerate(values.items()):
        places = np.arange(len(groups)) + (index - (len(values) - 1) / 2) * width
        known = np.nan_to_num(heights)
        bars = axes.bar(places, known, width * 0.92, color=style.colour_of(index), label=name)
        told = [undefined if np.isnan(height) else f"{height:.2f}" for height in heights]
        axes.bar_label(bars, told, fontsize=7 if len(groups) > 6 else 8, padding=2, color=style.FAINT)
    axes.set_ylim(0, 1.1)
    axes.grid(visible=False, axis="x")
    style.class_ticks(axes, groups)
    style.title(axes, title)
    style.legend(axes, outside=True)
    return figure
