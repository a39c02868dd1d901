"""Training runs ranked by their cross-validated score, with what leaderboards said of them."""

from collections.abc import Iterable
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tropho.commands.record_score import WIDTH, number, print_submissions, public_scores
from tropho.config.load import load_params, task_settings
from tropho.config.retired import RETIRED
from tropho.config.task_config import TaskConfig
from tropho.errors import TrophoError
from tropho.paths import Paths
from tropho.tracking import best_runs, tracked_parameters

if TYPE_CHECKING:
    from rich.table import Table

FITTED = ("fpn_levels", "regression_ranges", "scales", "ratios")
"""Settings of `model` that training fits where they are null."""


def print_leaderboard(root: Path, task: str | None) -> None:
    """Print the runs of one task, or of all, best first, and the ledger of submissions."""
    from rich.console import Console

    params = load_params(root / "params.yaml")
    if task is not None:
        task_settings(task, params)
    scores = public_scores(root, task)
    runs = best_runs(root, task)
    runs = runs[
        (runs["trained_folds"].fillna(1) > 0) | runs["id"].isin(list(scores)) | runs["record_id"].isin(list(scores))
    ]
    console = Console(width=None if Console().is_terminal else WIDTH)
    if runs.empty:
        console.print("No training has been tracked yet; run `dvc repro`, or `tropho train TASK`.")
    for name, mine in runs.groupby("task", sort=False):
        present = _present(str(name), params, root)
        for place, table in enumerate(_comparable(mine)):
            data = "" if place == 0 else " (other labels or folds: not comparable with the runs above)"
            console.print(f"[bold]{name}[/bold] by {_text(table['score_name'].iloc[0])}{data}")
            console.print(_runs(table, scores, present))
    print_submissions(root, task)


def _comparable(runs: pd.DataFrame) -> Iterable[pd.DataFrame]:
    """Part a task's runs by the labels and folds that they were scored on, those of the latest run first."""
    parts = [part for _, part in runs.groupby(runs["validated_on"].fillna(""), sort=False)]
    return sorted(parts, key=lambda part: part["started"].max(), reverse=True)


def _present(task: str, params: dict[str, Any], root: Path) -> dict[str, str]:
    """Give the task's settings, those that the search chose included, as tracked; empty where it has none now."""
    from tropho.training.fingerprint import tuned

    try:
        settings = tuned(task_settings(task, params), Paths(root, task))
    except TrophoError:
        return {}
    return {key: str(value) for key, value in tracked_parameters(settings).items() if not _is_fitted(key, settings)}


def _is_fitted(key: str, settings: TaskConfig) -> bool:
    section, _, name = key.partition(".")
    if section != "model" or not settings.model.fit_levels:
        return False
    return name == "fit_levels" or (name in FITTED and getattr(settings.model, name) is None)


def differences(run: dict[str, str], present: dict[str, str]) -> str:
    """List the settings of a run that are not the present ones, such as "train.lr=0.01, train.epochs=3".

    Settings are known by their present names; those that only one of the two knows are left out.
    """
    told = []
    for dotted, value in sorted(_renamed(run).items()):
        if dotted in present and present[dotted] != value:
            told.append(f"{dotted}={_short(value)}")
    return ", ".join(told)


def _renamed(run: dict[str, str]) -> dict[str, str]:
    known = {}
    for dotted, value in run.items():
        retired = RETIRED.get(dotted)
        section = dotted.partition(".")[0]
        name = dotted if retired is None else f"{section}.{retired.key}"
        values = {} if retired is None else {str(old): str(new) for old, new in retired.values.items()}
        known[name] = values.get(value, value)
    return known


def _short(value: str) -> str:
    """Write a number with at most four digits, such as 0.0003162; other text as it is."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def _runs(runs: pd.DataFrame, scores: dict[str, tuple[float, float]], present: dict[str, str]) -> "Table":
    """Rank runs; `scores` are public and private ones, by the run's id, and get columns where a run has them."""
    from rich.table import Table

    pairs = [_scores_of(run, scores) for _, run in runs.iterrows()]
    told = {"public": 0, "private": 1}
    shown = {name: place for name, place in told.items() if any(not pd.isna(pair[place]) for pair in pairs)}
    table = Table(box=None, header_style="bold")
    names = ("rank", "score", *shown, "epochs", "min", "started", "commit", "run", "differs from the present settings")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name == "started")
    for rank, (_, run) in enumerate(runs.iterrows(), 1):
        pair = pairs[rank - 1]
        table.add_row(
            str(rank),
            f"{run['score']:.4f}",
            *(number(pair[place]) for place in shown.values()),
            _text(run["epochs"]),
            "-" if pd.isna(run["seconds"]) else f"{run['seconds'] / 60:.1f}",
            "-" if pd.isna(run["started"]) else f"{run['started']:%Y-%m-%d %H:%M}",
            _text(run["git_commit"])[:8],
            _text(run["id"])[:8],
            differences(run["parameters"], present) or "-",
        )
    return table


def _scores_of(run: pd.Series, scores: dict[str, tuple[float, float]]) -> tuple[float, float]:
    return scores.get(run["id"], scores.get(run["record_id"], (nan, nan)))


def _text(value: object) -> str:
    return "-" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN
