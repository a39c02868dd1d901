"""The picture of what happens inside a network."""

import pandas as pd

from tropho.plots.layer_plots import layer_curves, layers_of


def history(epochs: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "epoch": range(1, epochs + 1),
            "loss": 1.0,
            "grad_norm": 3.0,
            **{f"grad_norm/layers.{layer}": 0.1**layer for layer in range(4)},
            **{f"output_std/layers.{layer}": 1.0 for layer in range(4)},
            **{f"idle/act.{layer}": 0.5 for layer in range(3)},
        }
    )


def test_three_epochs_are_drawn_over_the_layers() -> None:
    figure = layer_curves(history(9))
    gradients, outputs, idle = figure.axes
    assert [line.get_label() for line in gradients.lines] == ["epoch 1", "epoch 5", "epoch 9"]
    assert gradients.lines[0].get_ydata().tolist() == [0.1**layer for layer in range(4)]
    assert gradients.get_yscale() == "log"
    assert [len(axes.lines[0].get_xdata()) for axes in (outputs, idle)] == [4, 3]


def test_one_epoch_is_drawn_once_and_none_where_nothing_was_logged() -> None:
    assert len(layer_curves(history(1)).axes[0].lines) == 1
    bare = history(2)[["epoch", "loss", "grad_norm"]]
    assert layer_curves(bare) is None
    assert layers_of({"fold 0": bare, "fold 1": history(2)}) is not None
    assert layers_of({}) is None
