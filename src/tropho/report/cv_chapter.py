"""Show the submissions, and whether cross-validation tells what the leaderboard will say."""

import pandas as pd

from tropho.errors import DataError
from tropho.plots import format_numbers, style
from tropho.plots.cv_vs_leaderboard import agreement_chart
from tropho.report.block_builders import pictures_block
from tropho.report.blocks import Block, Table, Text
from tropho.report.image_embedder import ImageEmbedder
from tropho.submission.cv_gap import cv_gap_warnings
from tropho.submission.submission_log import LEDGER
from tropho.tables import conform

LISTED = 15


def agreement_blocks(table: pd.DataFrame | None, task: str, album: ImageEmbedder) -> list[Block]:
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
            format_numbers.score(row["score"]),
            "–"
            if pd.isna(row["low"])
            else f"{format_numbers.score(row['low'])} to {format_numbers.score(row['high'])}",
            *("–" if pd.isna(row[name]) else format_numbers.score(row[name]) for name in ("public", "private")),
        ]
        for _, row in ledger.tail(LISTED)[::-1].iterrows()
    ]
    columns = ["file", "written", "cross-validated", "95 % interval", "public", "private"]
    note = f"Record what the leaderboard says with `tropho leaderboard --record {task} SCORE`."
    blocks: list[Block] = [Text(sentence, warn=True) for sentence in cv_gap_warnings(ledger)]
    blocks.append(Table("Submissions, newest first", columns, rows, 2, note))
    chart = agreement_chart(ledger)
    if chart is not None:
        alt = "Public score over cross-validated score, a point a submission, beside the line where both are equal."
        picture = album.add(style.png_bytes(chart), "Leaderboard against cross-validation", alt)
        blocks.extend(pictures_block([picture] if picture else []))
    return blocks
