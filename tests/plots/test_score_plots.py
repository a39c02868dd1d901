"""Tests of the plots of scores: whole trial numbers, readable settings, the best trial marked, named submissions."""

import numpy as np
import pandas as pd
import pytest

from stage_outputs import submission_rows
from tropho.plots import style
from tropho.plots.training_plots import plot_cv_vs_leaderboard, plot_history, plot_settings

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
