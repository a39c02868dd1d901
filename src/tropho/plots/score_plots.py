"""Plots of scores: of the trials of a search, and of submissions against cross-validation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tropho.metrics.metric_names import metric_name
from tropho.plots import style
from tropho.submission.submission_log import recorded

MAX_PANELS = 9
MAX_NAMED = 6  # submissions
LOG_SPAN = 8  # times the smallest value that the largest one is on a logarithmic axis


def plot_history(trials: pd.DataFrame) -> Figure | None:
    """Draw the score of each trial and the best so far; None if no trial has a score.

    Args:
        trials: columns number (from 0), state, score (empty for trials without one).
    """
    known = trials.dropna(subset=["score"])
    if known.empty:
        return None
    figure, (axes,) = style.subplots(1, 1, style.HALF)
    _points(axes, known["number"].to_numpy(np.float64), known)
    complete = known[known["state"] == "complete"].sort_values("number")
    if len(complete):
        best = complete["score"].cummax()
        axes.step(complete["number"], best, where="post", color=style.colour_of(1), label="best so far", zorder=1)
    style.title(axes, "Score of each trial")
    style.label(axes, "trial (from 0)", "score")
    style.whole_numbers(axes.xaxis)
    style.legend(axes, outside=True)
    return figure


def plot_settings(trials: pd.DataFrame, keys: Sequence[str]) -> Figure | None:
    """Draw the score over each searched setting, one panel a setting; None if no trial has a score.

    Args:
        trials: columns number, state, score and `keys`.
        keys: dotted names of settings; the first nine are drawn.
    """
    known = trials.dropna(subset=["score"])
    keys = [key for key in keys if key in known][:MAX_PANELS]
    if known.empty or not keys:
        return None
    figure, panels = style.small_panels(len(keys)) if len(keys) > 1 else style.subplots(1, 1, style.HALF)
    for axes, key in zip(panels, keys, strict=True):
        values = pd.to_numeric(known[key], errors="coerce").to_numpy(np.float64)
        if known[key].map(lambda value: isinstance(value, bool)).any() or np.isnan(values).any():
            names = sorted({str(value) for value in known[key]})
            values = known[key].map(lambda value, names=names: names.index(str(value))).to_numpy(np.float64)
            style.class_ticks(axes, names)
        elif values.min() > 0 and values.max() >= LOG_SPAN * values.min():
            axes.set_xscale("log")
        _points(axes, values, known)
        style.title(axes, key)
        style.label(axes, "", "score")
    return figure


def _points(axes: Axes, x: np.ndarray, trials: pd.DataFrame) -> None:
    """Draw complete trials as dots, others as rings, and the best as a larger dot."""
    complete = (trials["state"] == "complete").to_numpy(bool)
    scores, colour = trials["score"].to_numpy(np.float64), style.colour_of(0)
    axes.plot(x[complete], scores[complete], "o", color=colour, alpha=0.8, label="complete")
    if not complete.all():
        rest = ~complete
        axes.plot(x[rest], scores[rest], "o", color=colour, fillstyle="none", label="ended early (its last score)")
    if complete.any():
        best = np.flatnonzero(complete)[scores[complete].argmax()]
        axes.plot(x[best], scores[best], "o", color=style.colour_of(1), markersize=9, zorder=3, label="best")


def plot_cv_vs_leaderboard(submissions: pd.DataFrame) -> Figure | None:
    """Draw one point a submission, its cross-validation interval as a bar; None if no public score is recorded.

    Args:
        submissions: submission_log.SUBMISSIONS, rows of one task. The newest six submissions are named by their hash.
    """
    known = recorded(submissions)
    if known.empty:
        return None
    figure, (axes,) = style.subplots(1, 1, (5.3, 4.6))
    values = known[["score", "low", "high", "public", "private"]].to_numpy(np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(0.1 * (high - low), 0.005)
    limits = low - margin, high + margin
    axes.plot(limits, limits, color=style.FAINT, linewidth=1, linestyle="--", label="equal")
    error = known[["low", "high"]].sub(known["score"], axis=0).abs().fillna(0.0).to_numpy(np.float64)
    label = "public, with the cross-validation interval"
    axes.errorbar(known["score"], known["public"], xerr=error.T, fmt="o", color=style.colour_of(0), lw=1, label=label)
    if known["private"].notna().any():
        colour = style.colour_of(1)
        axes.plot(known["score"], known["private"], "o", color=colour, fillstyle="none", zorder=3, label="private")
    named = known.tail(MAX_NAMED)
    for i, row in named.iterrows():
        text = f"{row['sha256'][:8]}, newest" if i == named.index[-1] else row["sha256"][:8]
        point = row["score"], row["public"]
        axes.annotate(text, point, (-5, 5), textcoords="offset points", ha="right", fontsize=8, color=style.INK)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    style.label(axes, f"cross-validated {style.plain(metric_name(known['score_name'].iloc[-1]))}", "leaderboard")
    style.title(axes, "Leaderboard against cross-validation")
    style.legend(axes, outside=True)
    return figure
