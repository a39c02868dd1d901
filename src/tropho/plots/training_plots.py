"""Plots of training: learning curves, statistics of layers, trials of a search; and of submissions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tropho.metrics.metric_names import metric_name
from tropho.plots import style
from tropho.submission.submission_log import recorded
from tropho.tables import DEAD, GRADIENT, STD

Histories = Mapping[str, pd.DataFrame]

LAYER_STATS = {
    GRADIENT: "Gradient norm of the weights",
    STD: "Standard deviation of outputs",
    DEAD: "Fraction of inactive units",
}
PARTS = {"cls": "classes", "box": "boxes", "centerness": "centre-ness"}
"""Names of the parts of the loss in the legend."""
VAL_LOSS = "val_loss"
"""Column of the validation loss, which a history may lack."""
MAX_PANELS = 9
MAX_NAMED = 6  # submissions
LOG_SPAN = 8  # times the smallest value that the largest one is on a logarithmic axis


def plot_learning_curves(histories: Histories, rates: pd.DataFrame | None = None) -> Figure | None:
    """Draw loss, score and learning rate of the folds; None if no fold has an epoch.

    Args:
        histories: history.csv by fold name: columns epoch, lr, loss, loss/<part>, val_loss, score; any but epoch may
            be absent, and cells of epochs without validation are empty.
        rates: the learning rate at many points: columns epoch (epochs done) and lr; None draws that of the histories.
    """
    histories = {name: table for name, table in histories.items() if len(table) and "epoch" in table}
    if not histories:
        return None
    figure, (loss, score, rate) = style.subplots(3, 3, style.THIRD)
    validated = any(VAL_LOSS in table for table in histories.values())
    style.title(loss, "Loss (dashed: validation)" if validated else "Training loss", "epoch")
    style.title(score, "Validation score", "epoch")
    style.title(rate, "Learning rate", "epoch")
    for index, (name, table) in enumerate(histories.items()):
        if len(histories) == 1:
            _loss_parts(loss, table)
        else:
            _line(loss, table, "loss", name, index)
        if VAL_LOSS in table:
            _line(loss, table, VAL_LOSS, "validation" if len(histories) == 1 else "", index, dashed=True)
        scores = _line(score, table, "score", name, index)
        if len(scores):
            best = scores.iloc[int(scores["score"].to_numpy().argmax())]
            score.plot(best["epoch"], best["score"], "o", color=style.colour_of(index), markersize=6)
        if rates is None:
            _line(rate, table, "lr", name, index)
    if rates is not None:
        _line(rate, rates, "lr", "", 0)
    rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    last = max(float(pd.to_numeric(table["epoch"], errors="coerce").max()) for table in histories.values())
    for axes in (loss, score, rate):
        axes.set_xlim(0 if axes is rate and rates is not None else 0.5, max(last, 1) + 0.5)
        style.whole_numbers(axes.xaxis)
        style.legend(axes)
    if not score.lines:
        score.annotate(
            "no validation was recorded", (0.5, 0.5), xycoords="axes fraction", ha="center", color=style.FAINT
        )
    return figure


def _loss_parts(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the loss and, if there are several, its parts."""
    parts = [column for column in map(str, table) if column.startswith("loss/")]
    _line(axes, table, "loss", "sum" if len(parts) > 1 else "training", 0)
    for index, part in enumerate(parts if len(parts) > 1 else [], start=1):
        name = part.removeprefix("loss/").removeprefix("loss_")
        _line(axes, table, part, PARTS.get(name, name), index, width=1.2)


def _line(
    axes: Axes, table: pd.DataFrame, column: str, name: str, index: int, width: float = 2.0, dashed: bool = False
) -> pd.DataFrame:
    """Draw a column over the epochs, `dashed` with dots; returns the points, columns epoch and `column`."""
    points: pd.DataFrame = table.reindex(columns=["epoch", column]).apply(pd.to_numeric, errors="coerce").dropna()
    if len(points):
        axes.plot(
            points["epoch"],
            points[column],
            linestyle="--" if dashed else style.line_of(index),
            color=style.colour_of(index),
            label=style.plain(name) if name else "_",
            linewidth=width,
            marker="o" if dashed or len(points) == 1 else None,
            markersize=4 if dashed else None,
        )
    return points


def plot_layer_stats(histories: Histories) -> Figure | None:
    """Draw the layer statistics of the first fold that has any, at its first, middle and last epoch.

    Args:
        histories: history.csv by fold name, with the columns that `train.log_layer_stats` adds.

    Returns:
        One panel a statistic, its x axis the layers from the input on; None if no fold has any.
    """
    logged = (table for table in histories.values() if any(str(column).startswith(GRADIENT) for column in table))
    if (table := next(logged, None)) is None:
        return None
    rows = sorted({0, round((len(table) - 1) / 2), len(table) - 1})
    figure, panels = style.subplots(3, 3, style.THIRD)
    for axes, (prefix, title) in zip(panels, LAYER_STATS.items(), strict=True):
        columns = [name for name in map(str, table) if name.startswith(prefix)]
        for index, row in enumerate(rows if columns else []):
            values = table[columns].iloc[row].astype(float)
            label, color = f"epoch {int(table['epoch'].iloc[row])}", style.colour_of(index)
            axes.plot(range(1, len(values) + 1), values, style.line_of(index), color=color, label=label)
        style.title(axes, title, "layer, from the input on")
        style.whole_numbers(axes.xaxis)
        if prefix == DEAD:
            axes.set_ylim(style.UNIT)
        else:
            axes.set_yscale("log")
        style.legend(axes)
    return figure


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
    style.title(axes, "Score of each trial", "trial (from 0)", "score")
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
        style.title(axes, key, "", "score")
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
    axes.set(xlim=limits, ylim=limits)
    metric = style.plain(metric_name(known["score_name"].iloc[-1]))
    style.title(axes, "Leaderboard against cross-validation", f"cross-validated {metric}", "leaderboard")
    style.legend(axes, outside=True)
    return figure
