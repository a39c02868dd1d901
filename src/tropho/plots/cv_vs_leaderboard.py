"""Plot public leaderboard scores against cross-validated ones."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.metrics.metric_names import metric_name
from tropho.plots import style
from tropho.submission.cv_gap import recorded

SIZE = (5.3, 4.6)  # inches
MAX_NAMED = 6


def plot_cv_vs_leaderboard(ledger: pd.DataFrame) -> Figure | None:
    """Draw one point a submission, its cross-validation interval as a bar; None if no public score is recorded.

    Args:
        ledger: submission_log.SUBMISSIONS, rows of one task. The newest six submissions are named by their hash.
    """
    known = recorded(ledger)
    if known.empty:
        return None
    figure, (axes,) = style.subplots(1, 1, SIZE)
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
