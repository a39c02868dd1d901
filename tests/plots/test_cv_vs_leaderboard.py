"""Tests of the plot of public over cross-validated scores."""

import numpy as np

from stage_outputs import submission_rows
from tropho.plots.cv_vs_leaderboard import plot_cv_vs_leaderboard


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
