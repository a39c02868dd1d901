"""Cross-validated against public scores: do the folds tell what the leaderboard will say?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.plots import style
from tropho.submission.cv_gap import recorded

SIZE = (5.3, 4.6)
NAMED = 6  # newest submissions that carry their names


def agreement_chart(ledger: pd.DataFrame) -> Figure | None:
    """A point a submission, cross-validation's interval as a bar; None where no public score is recorded.

    Args:
        ledger: rows of tracking.ledger.LEDGER of one task.
    """
    known = recorded(ledger)
    if known.empty:
        return None
    figure, (axes,) = style.subplots(1, 1, SIZE)
    low, high = _limits(known)
    axes.plot([low, high], [low, high], color=style.FAINT, linewidth=1, linestyle="--", label="equal")
    reach = known[["low", "high"]].sub(known["score"], axis=0).abs().fillna(0.0).to_numpy(np.float64)
    name = "public, with the interval of cross-validation"
    axes.errorbar(known["score"], known["public"], xerr=reach.T, fmt="o", color=style.colour_of(0), lw=1, label=name)
    if known["private"].notna().any():
        axes.plot(
            known["score"], known["private"], "o", color=style.colour_of(1), fillstyle="none", zorder=3, label="private"
        )
    for number, (_, row) in enumerate(known.tail(NAMED).iterrows(), 1):
        newest = number == min(NAMED, len(known))
        text = f"{row['sha256'][:8]}, newest" if newest else row["sha256"][:8]
        axes.annotate(
            text,
            (row["score"], row["public"]),
            (-5, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=style.INK,
        )
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    style.label(axes, f"cross-validated {style.plain(known['score_name'].iloc[-1])}", "leaderboard")
    style.title(axes, "Leaderboard against cross-validation")
    style.legend(axes, outside=True)
    return figure


def _limits(known: pd.DataFrame) -> tuple[float, float]:
    """One range for both axes, with room around the points."""
    values = known[["score", "low", "high", "public", "private"]].to_numpy(np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(0.1 * (high - low), 0.005)
    return low - room, high + room
