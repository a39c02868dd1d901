"""Plots of training: learning curves of every fold, and statistics of each layer."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tropho.plots import style
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
    style.title(loss, "Loss (dashed: validation)" if validated else "Training loss")
    style.title(score, "Validation score")
    style.title(rate, "Learning rate")
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
        axes.set_xlabel("epoch", fontsize=10)
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
        style.title(axes, title)
        axes.set_xlabel("layer, from the input on", fontsize=10)
        style.whole_numbers(axes.xaxis)
        if prefix == DEAD:
            axes.set_ylim(-0.02, 1.02)
        else:
            axes.set_yscale("log")
        style.legend(axes)
    return figure
