"""Tests of learning curves, layer statistics, trials of a search, and submissions."""

import numpy as np
import pandas as pd
import pytest

from stage_outputs import submission_rows
from tropho.plots import style
from tropho.plots.training_plots import (
    plot_cv_vs_leaderboard,
    plot_history,
    plot_layer_stats,
    plot_learning_curves,
    plot_settings,
)


def test_each_fold_has_a_line_and_its_best_epoch_is_marked():
    epochs = np.arange(1, 6)
    first = pd.DataFrame({"epoch": epochs, "loss": 1 / epochs, "lr": 1e-3, "score": [0.1, 0.5, 0.4, 0.6, 0.2]})
    figure = plot_learning_curves({"fold 0": first, "fold 1": first.head(3)})
    loss, score, rate = figure.axes
    assert [len(line.get_xdata()) for line in loss.lines] == [5, 3]
    marks = [tuple(line.get_xydata()[0]) for line in score.lines if len(line.get_xdata()) == 1]
    assert marks == [(4, pytest.approx(0.6)), (2, pytest.approx(0.5))]
    assert len(rate.lines) == 2


def test_parts_of_the_loss_are_drawn_for_a_single_fold():
    table = pd.DataFrame({"epoch": [1, 2], "loss": [3, 2], "loss/boxes": [1, 1], "loss/classes": [2, 1]})
    labels = [line.get_label() for line in plot_learning_curves({"fold 0": table}).axes[0].lines]
    assert labels == ["sum", "boxes", "classes"]


def test_validation_loss_is_dashed_in_the_colour_of_its_fold():
    table = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [4.0, None, 3.0]})
    loss = plot_learning_curves({"fold 0": table}).axes[0]
    training, validation = loss.lines
    assert validation.get_xydata().tolist() == [[1, 4], [3, 3]]
    assert validation.get_linestyle() == "--"
    assert validation.get_color() == training.get_color()
    assert "validation" in loss.get_title("left")
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    both = plot_learning_curves({"fold 0": table, "fold 1": table}).axes[0]
    assert [text.get_text() for text in both.get_legend().get_texts()] == ["fold 0", "fold 1"]


def test_learning_rate_within_the_epochs_is_drawn_once():
    table = pd.DataFrame({"epoch": [1, 2], "lr": [0.5, 0.1], "loss": 1.0})
    rates = pd.DataFrame({"epoch": np.linspace(0, 2, 50), "lr": np.linspace(1, 0, 50)})
    rate = plot_learning_curves({"fold 0": table, "fold 1": table}, rates).axes[2]
    assert [len(line.get_xdata()) for line in rate.lines] == [50]
    assert rate.get_legend() is None


def test_epochs_without_validation_leave_no_gap():
    table = pd.DataFrame({"epoch": [1, 2, 3, 4], "score": [None, 0.2, None, 0.3]})
    line = plot_learning_curves({"fold 0": table}).axes[1].lines[0]
    assert list(line.get_xdata()) == [2, 4]


@pytest.mark.parametrize("histories", [{}, {"fold 0": pd.DataFrame()}, {"fold 0": pd.DataFrame({"epoch": []})}])
def test_nothing_to_draw(histories):
    assert plot_learning_curves(histories) is None


def test_a_history_without_scores_says_so():
    figure = plot_learning_curves({"fold 0": pd.DataFrame({"epoch": [1], "loss": [0.5]})})
    assert [text.get_text() for text in figure.axes[1].texts] == ["no validation was recorded"]


def layer_history(epochs):
    return pd.DataFrame(
        {
            "epoch": range(1, epochs + 1),
            "loss": 1.0,
            "grad_norm": 3.0,
            **{f"grad_norm/layers.{layer}": 0.1**layer for layer in range(4)},
            **{f"output_std/layers.{layer}": 1.0 for layer in range(4)},
            **{f"dead_fraction/act.{layer}": 0.5 for layer in range(3)},
        }
    )


def test_plot_layer_stats_draws_three_epochs():
    figure = plot_layer_stats({"fold 0": layer_history(9)})
    gradients, outputs, dead = figure.axes
    assert [line.get_label() for line in gradients.lines] == ["epoch 1", "epoch 5", "epoch 9"]
    assert gradients.lines[0].get_ydata().tolist() == [0.1**layer for layer in range(4)]
    assert gradients.get_yscale() == "log"
    assert [len(axes.lines[0].get_xdata()) for axes in (outputs, dead)] == [4, 3]


def test_plot_layer_stats_takes_first_fold_that_has_any():
    bare = layer_history(2)[["epoch", "loss", "grad_norm"]]
    assert len(plot_layer_stats({"fold 0": bare, "fold 1": layer_history(1)}).axes[0].lines) == 1
    assert plot_layer_stats({"fold 0": bare}) is None
    assert plot_layer_stats({}) is None


TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3],
        "state": ["complete", "complete", "pruned", "failed"],
        "score": [0.5, 0.7, 0.4, None],
        "train.lr": [0.001, 0.01, 0.1, 0.2],
        "train.wd": [0.01, 0.02, 0.03, 0.04],
        "model.backbone": ["resnet18", "resnet34", "resnet18", "resnet34"],
        "model.pretrained": [True, False, True, False],
    }
)
KEYS = [name for name in TRIALS if "." in name]


def test_history_counts_trials_from_0_and_draws_the_best_so_far():
    (axes,) = plot_history(TRIALS).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["complete"] == [[0, 0.5], [1, 0.7]]
    assert lines["ended early (its last score)"] == [[2, 0.4]]
    assert lines["best so far"] == [[0, 0.5], [1, 0.7]]
    assert lines["best"] == [[1, 0.7]]
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_settings_have_a_panel_each():
    figure = plot_settings(TRIALS, KEYS)
    assert [axes.get_title("left") for axes in figure.axes] == KEYS
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "linear", "linear"]
    assert [tick.get_text() for tick in figure.axes[2].get_xticklabels()] == ["resnet18", "resnet34"]
    assert [tick.get_text() for tick in figure.axes[3].get_xticklabels()] == ["False", "True"]


@pytest.mark.parametrize(("low", "high", "least", "most"), [(9e-4, 1e-3, 2, 5), (1e-4, 1e-2, 3, 8), (1e-8, 1, 3, 12)])
def test_logarithmic_ticks_do_not_overlap(low, high, least, most):
    figure, (axes,) = style.subplots(1, 1)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    style.png_bytes(figure)
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert least <= len(shown) <= most


def test_without_scores_there_is_nothing_to_draw():
    assert plot_history(TRIALS.iloc[3:]) is None
    assert plot_settings(TRIALS.iloc[3:], KEYS) is None


def test_plot_cv_vs_leaderboard_draws_recorded_scores():
    axes = plot_cv_vs_leaderboard(submission_rows()).axes[0]
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xydata(), [(0.90, 0.88), (0.92, 0.95)])
    np.testing.assert_allclose(drawn["private"], [(0.90, 0.87), (0.92, np.nan)])
    assert [text.get_text() for text in axes.texts] == ["aaaaaaaa", "cccccccc, newest"]


def test_plot_cv_vs_leaderboard_names_the_metric_in_words():
    axes = plot_cv_vs_leaderboard(submission_rows().assign(score_name="leaderboard_map")).axes[0]
    assert axes.get_xlabel() == "cross-validated mean AP"


def test_plot_cv_vs_leaderboard_without_public_scores_is_none():
    assert plot_cv_vs_leaderboard(submission_rows().assign(public=float("nan"))) is None
