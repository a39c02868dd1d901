"""Training runs ranked by their cross-validated score."""

from pathlib import Path

import pandas as pd

from tropho.config import load_params, task_settings
from tropho.tracking import best_runs

COLUMNS = ("rank", "task", "score", "metric", "epochs", "minutes", "started", "commit", "run")


def print_leaderboard(root: Path, task: str | None) -> None:
    """Print the runs of one task, or of all, best first."""
    from rich.console import Console
    from rich.table import Table

    if task is not None:
        task_settings(task, load_params(root / "params.yaml"))
    runs = best_runs(root, task)
    console = Console(width=None if Console().is_terminal else 160)
    if runs.empty:
        console.print("No training has been tracked yet; run `dvc repro`, or `tropho train TASK`.")
        return
    table = Table(*COLUMNS, box=None, header_style="bold")
    for name, mine in runs.groupby("task", sort=False):
        for rank, (_, run) in enumerate(mine.iterrows(), 1):
            table.add_row(str(rank), str(name), *_cells(run))
    console.print(table)


def _cells(run: pd.Series) -> list[str]:
    return [
        f"{run['score']:.4f}",
        _text(run["score_name"]),
        _text(run["epochs"]),
        "-" if pd.isna(run["seconds"]) else f"{run['seconds'] / 60:.1f}",
        "-" if pd.isna(run["started"]) else f"{run['started']:%Y-%m-%d %H:%M}",
        _text(run["git_commit"])[:8],
        _text(run["id"])[:8],
    ]


def _text(value: object) -> str:
    return "-" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN
