"""What leaderboards said of the submissions: recorded, listed, charted, and compared with cross-validation."""

from pathlib import Path

import pandas as pd

from tropho.config.load import load_params, task_settings
from tropho.files import sha256_of
from tropho.log import info
from tropho.paths import Paths
from tropho.submission.cv_gap import cv_gap_warnings
from tropho.submission.submission_log import LEDGER, read_ledger, record

WIDTH = 120
"""Columns of a terminal that a table fits, where the output goes elsewhere."""

COLUMNS = ("task", "submission", "written", "metric", "score", "interval", "public", "private", "commit")


def submissions(root: Path, task: str | None) -> pd.DataFrame:
    """Every submission of one task, or of all (tracking.ledger.LEDGER)."""
    names = [task] if task is not None else list(load_params(root / "params.yaml")["tasks"])
    tables = [read_ledger(Paths(root, name).ledger, Paths(root, name).ledger_copy) for name in names]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(LEDGER)).astype(LEDGER)


def public_scores(root: Path, task: str | None) -> dict[str, tuple[float, float]]:
    """(public, private) of the newest recorded submission of each run, by the run's id; NaN where unknown."""
    ledger = submissions(root, task)
    known = ledger[ledger["public"].notna() & ledger["run_id"].notna()]
    return {row["run_id"]: (row["public"], row["private"]) for _, row in known.iterrows()}


def record_score(root: Path, task: str, public: float, private: float | None, file: str | None) -> str:
    """Note what the leaderboard said of a submission, and redraw the chart; returns a sentence.

    Without the first digits of a file's hash it is the file that stands in submissions/, or else the newest one.
    """
    from tropho.plots.cv_vs_leaderboard import plot_cv_vs_leaderboard
    from tropho.plots.style import save

    paths = Paths(root, task_settings(task, load_params(root / "params.yaml")).name)
    ledger = read_ledger(paths.ledger, paths.ledger_copy)
    if file is None and paths.submission.exists():
        present = sha256_of(paths.submission)
        file = present if present in set(ledger["sha256"]) else None
    row = record(paths.ledger, paths.ledger_copy, public, private, file).iloc[0]
    chart = plot_cv_vs_leaderboard(read_ledger(paths.ledger, paths.ledger_copy))
    if chart is not None:
        save(chart, paths.leaderboard)
    return (
        f"Recorded {public:g} for {task}'s submission {row['sha256'][:8]} of {row['written'][:16]}, "
        f"cross-validated {row['score']:.4f}."
    )


def print_submissions(root: Path, task: str | None) -> None:
    """Print the ledger, newest last, then where leaderboard and cross-validation part."""
    from rich.console import Console
    from rich.table import Table

    ledger = submissions(root, task)
    if ledger.empty:
        return
    table = Table(*COLUMNS, box=None, header_style="bold")
    for _, row in ledger.iterrows():
        table.add_row(*_cells(row))
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print()
    console.print(table)
    print_partings(root, task)


def print_partings(root: Path, task: str | None) -> None:
    """Print where leaderboard and cross-validation part, a sentence each, on standard error."""
    for name, mine in submissions(root, task).groupby("task", sort=False):
        for sentence in cv_gap_warnings(mine):
            info(f"{name}: {sentence}")


def _cells(row: pd.Series) -> list[str]:
    interval = "-" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}"
    commit = "-" if pd.isna(row["git_commit"]) else row["git_commit"][:8]
    dirty = not pd.isna(row["git_dirty"]) and row["git_dirty"] == "true"
    return [
        row["task"],
        row["sha256"][:8],
        row["written"][:16].replace("T", " "),
        row["score_name"],
        number(row["score"]),
        interval,
        number(row["public"]),
        number(row["private"]),
        f"{commit}+" if dirty else commit,
    ]


def number(value: float) -> str:
    """Four decimals, or a dash for what is not known."""
    return "-" if pd.isna(value) else f"{value:.4f}"
