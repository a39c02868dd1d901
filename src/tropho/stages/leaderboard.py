"""Training runs ranked by their cross-validated score, with what leaderboards said of them."""

from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tropho.config import load_params, task_settings
from tropho.stages.ledger import number, print_submissions, public_scores
from tropho.tracking import best_runs

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (
    *("rank", "task", "score", "public", "private", "metric", "epochs", "minutes", "started", "commit", "run"),
    "differs",
)


def print_leaderboard(root: Path, task: str | None) -> None:
    """Print the runs of one task, or of all, best first, and the ledger of submissions."""
    from rich.console import Console

    if task is not None:
        task_settings(task, load_params(root / "params.yaml"))
    runs = best_runs(root, task)
    console = Console(width=None if Console().is_terminal else 160)
    if runs.empty:
        console.print("No training has been tracked yet; run `dvc repro`, or `tropho train TASK`.")
    else:
        console.print(_runs(runs, public_scores(root, task)))
    print_submissions(root, task)


def _runs(runs: pd.DataFrame, scores: dict[str, tuple[float, float]]) -> "Table":
    """Runs by task and rank; `scores` are public and private ones, by the run's id."""
    from rich.table import Table

    table = Table(*COLUMNS, box=None, header_style="bold")
    for name, mine in runs.groupby("task", sort=False):
        for rank, (_, run) in enumerate(mine.iterrows(), 1):
            table.add_row(
                str(rank), str(name), *_cells(run, *scores.get(run["id"], scores.get(run["record_id"], (nan, nan))))
            )
    return table


def _cells(run: pd.Series, public: float, private: float) -> list[str]:
    return [
        f"{run['score']:.4f}",
        number(public),
        number(private),
        _text(run["score_name"]),
        _text(run["epochs"]),
        "-" if pd.isna(run["seconds"]) else f"{run['seconds'] / 60:.1f}",
        "-" if pd.isna(run["started"]) else f"{run['started']:%Y-%m-%d %H:%M}",
        _text(run["git_commit"])[:8],
        _text(run["id"])[:8],
        _text(run["differs"]) or "-",
    ]


def _text(value: object) -> str:
    return "-" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN
