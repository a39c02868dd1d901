"""Plots of a search: the score of each trial in order, and over each searched setting."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tropho.plots import style

MAX_PANELS = 9
LOG_SPAN = 8  # times the smallest value that the largest one is on a logarithmic axis


def plot_history(trials: pd.DataFrame) -> Figure | None:
    """Draw the score of each trial and the best so far; None if no trial has a score.

    Args:
        trials: columns number (from 0), state, score (empty for trials without one).
    """
    known = _scored(trials)
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
    known = _scored(trials)
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


def _scored(trials: pd.DataFrame) -> pd.DataFrame:
    if not {"number", "state", "score"} <= set(trials):
        return trials.iloc[:0]
    return trials.assign(score=pd.to_numeric(trials["score"], errors="coerce")).dropna(subset=["score"])


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
