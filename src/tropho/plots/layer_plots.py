"""What happens inside a network, layer by layer: gradients, outputs, idle activations (train.log_layer_stats)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tropho.plots import style
from tropho.tables import GRADIENT, IDLE, STD

SHOWN = 3
"""Epochs that are drawn: the first, the middle and the last."""


def layer_curves(history: pd.DataFrame) -> Figure | None:
    """Draw each measure over the layers, input side first; None where no layers were logged.

    Args:
        history: history.csv as a table.
    """
    if not any(str(column).startswith(GRADIENT) for column in history):
        return None
    places = sorted({round(place * (len(history) - 1) / (SHOWN - 1)) for place in range(SHOWN)})
    figure, (gradients, outputs, idle) = style.subplots(3, 3, style.THIRD)
    for index, place in enumerate(places):
        row = history.iloc[place]
        _draw(gradients, row, GRADIENT, index)
        _draw(outputs, row, STD, index)
        _draw(idle, row, IDLE, index)
    style.title(gradients, "Gradient norm of the weights")
    style.title(outputs, "Deviation of the outputs")
    style.title(idle, "Share of idle activations")
    for axes in (gradients, outputs):
        axes.set_yscale("log")
    idle.set_ylim(-0.02, 1.02)
    for axes in (gradients, outputs, idle):
        axes.set_xlabel("layer, from the input on", fontsize=10)
        style.whole_numbers(axes.xaxis)
        style.legend(axes)
    return figure


def _draw(axes: Axes, row: "pd.Series[float]", kind: str, index: int) -> None:
    values = [float(row[name]) for name in row.index if str(name).startswith(kind)]
    if values:
        label = f"epoch {int(row['epoch'])}"
        axes.plot(range(1, len(values) + 1), values, style.line_of(index), color=style.colour_of(index), label=label)


def layers_of(histories: Mapping[str, pd.DataFrame]) -> Figure | None:
    """`layer_curves` of the first fold that logged its layers."""
    for history in histories.values():
        if (figure := layer_curves(history)) is not None:
            return figure
    return None
