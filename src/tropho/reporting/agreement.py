"""Cross-validated against public scores: do the folds tell what the leaderboard will say?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tropho.errors import DataError
from tropho.reporting import numbers, style
from tropho.reporting.album import Album
from tropho.reporting.blocks import Block, Table, Text
from tropho.reporting.layout import pictures_block
from tropho.tables import conform
from tropho.tracking.ledger import LEDGER
from tropho.tracking.parting import partings, recorded

SIZE = (5.3, 4.6)
NAMED = 6  # newest submissions that carry their names
LISTED = 15


def agreement_blocks(table: pd.DataFrame | None, task: str, album: Album) -> list[Block]:
    """The newest submissions, the chart, and warnings where both part; nothing without a ledger."""
    if table is None or table.empty:
        return []
    try:
        ledger = conform(table, LEDGER).dropna(subset=["sha256", "written"])
    except (DataError, ValueError):
        return [Text("The ledger of submissions has other columns than this version of Tropho writes.", warn=True)]
    rows = [
        [
            row["sha256"][:8],
            row["written"][:16].replace("T", " "),
            numbers.score(row["score"]),
            "–" if pd.isna(row["low"]) else f"{numbers.score(row['low'])} to {numbers.score(row['high'])}",
            *("–" if pd.isna(row[name]) else numbers.score(row[name]) for name in ("public", "private")),
        ]
        for _, row in ledger.tail(LISTED)[::-1].iterrows()
    ]
    columns = ["file", "written", "cross-validated", "95 % interval", "public", "private"]
    note = f"Record what the leaderboard says with `tropho leaderboard --record {task} SCORE`."
    blocks: list[Block] = [Text(sentence, warn=True) for sentence in partings(ledger)]
    blocks.append(Table("Submissions, newest first", columns, rows, 2, note))
    chart = agreement_chart(ledger)
    if chart is not None:
        alt = "Public score over cross-validated score, a point a submission, beside the line where both are equal."
        picture = album.add(style.png_bytes(chart), "Leaderboard against cross-validation", alt)
        blocks.extend(pictures_block([picture] if picture else []))
    return blocks


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
