"""Learning curves: loss, score and learning rate of every fold, epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tropho.plots import style


def learning_curves(histories: Mapping[str, pd.DataFrame], score_name: str = "score") -> Figure | None:
    """Draw the folds' histories side by side; None where no fold has a row.

    Args:
        histories: fold's name -> history.csv as a table, with the columns epoch, lr, loss, loss/<part>... and
            the validation metrics. Missing columns and empty cells (epochs without validation) are left out.
        score_name: column of the validation score; "score" where it is absent.
    """
    histories = {name: table for name, table in histories.items() if len(table) and "epoch" in table}
    if not histories:
        return None
    figure, (loss, score, rate) = style.subplots(3, 3, style.THIRD)
    style.title(loss, "Training loss")
    style.title(score, f"Validation {style.plain(score_name.replace('_', ' '))}")
    style.title(rate, "Learning rate")
    for index, (name, table) in enumerate(histories.items()):
        _loss(loss, table, name, index, single=len(histories) == 1)
        column = score_name if score_name in table else "score"
        _score(score, table, column, name, index)
        _line(rate, table, "lr", name, index)
    rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    for axes in (loss, score, rate):
        axes.set_xlabel("epoch", fontsize=10)
        style.whole_numbers(axes.xaxis)
        style.legend(axes)
    if not score.lines:
        style.say(score, "no validation was recorded")
    return figure


def _loss(axes: Axes, table: pd.DataFrame, name: str, index: int, single: bool) -> None:
    _line(axes, table, "loss", "sum" if single else name, index)
    parts = [column for column in map(str, table) if column.startswith("loss/")]
    if single and len(parts) > 1:
        for place, part in enumerate(parts):
            _line(axes, table, part, part.removeprefix("loss/"), place + 1, width=1.2)


def _score(axes: Axes, table: pd.DataFrame, column: str, name: str, index: int) -> None:
    drawn = _line(axes, table, column, name, index)
    if drawn is None:
        return
    place = int(drawn["value"].to_numpy().argmax())
    epoch, value = float(drawn["epoch"].iloc[place]), float(drawn["value"].iloc[place])
    axes.plot(epoch, value, "o", color=style.colour_of(index), markersize=6)


def _line(
    axes: Axes, table: pd.DataFrame, column: str, name: str, index: int, width: float = 2.0
) -> pd.DataFrame | None:
    if column not in table:
        return None
    points = pd.DataFrame(
        {
            "epoch": pd.to_numeric(table["epoch"], errors="coerce"),
            "value": pd.to_numeric(table[column], errors="coerce"),
        }
    ).dropna()
    if points.empty:
        return None
    marker = "o" if len(points) == 1 else None
    axes.plot(
        points["epoch"],
        points["value"],
        style.line_of(index),
        color=style.colour_of(index),
        label=style.plain(name),
        linewidth=width,
        marker=marker,
    )
    return points
