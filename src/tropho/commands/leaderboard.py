"""Training runs ranked by cross-validated score, with the leaderboard's scores of their submissions."""

import json
import os
from collections.abc import Hashable, Mapping
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tropho.commands.active_tasks import with_activation
from tropho.commands.submissions import leaderboard_scores, list_submissions, print_cv_gaps
from tropho.config.load import load_params, task_settings
from tropho.errors import TrophoError
from tropho.metrics.metric_names import metric_name
from tropho.paths import Paths
from tropho.plots.format_numbers import duration
from tropho.tracking import best_runs, tracked_parameters, tracking_uri
from tropho.tracking.run_names import page_of, short_value

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 120
"""Columns of the tables if the output is no terminal."""
Scores = dict[str, tuple[float, float]]
NOTE = (
    "The score is the mean over folds. Its interval is of all validation images together; trainings whose "
    "intervals overlap much may differ by chance. `dvc exp apply NAME` takes over an experiment; other "
    "trainings have their commit there."
)
UNCOMMITTED = (
    "A + after a commit: files that git tracks, such as params.yaml, held changes that are not in that commit."
)
FITTED = ("fpn_levels", "regression_ranges", "scales", "ratios")
"""Settings of `model` that training fits where they are null."""


def print_leaderboard(root: Path, task: str | None, as_json: bool = False) -> None:
    """Print the runs of one task, or of all, best first, and the submission log."""
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else WIDTH)
    params = load_params(root / "params.yaml")
    if task is not None:
        task_settings(task, params)
    scores = leaderboard_scores(root, task)
    runs = best_runs(root, task)
    submitted = runs["id"].isin(list(scores)) | runs["record_id"].isin(list(scores))
    runs = runs[(runs["trained_folds"].fillna(1) > 0) | submitted]
    if as_json:
        tables = {"runs": runs, "submissions": list_submissions(root, task)}
        rows = {name: json.loads(table.to_json(orient="records", date_format="iso")) for name, table in tables.items()}
        print(json.dumps(rows, indent=2))  # noqa: T201
        return
    if runs.empty:
        hint = f"No training has been tracked yet; run `dvc repro`, or `tropho train {task or 'TASK'}`."
        console.print(with_activation(hint, [task] if task is not None else [], root), soft_wrap=True)
    for name, task_runs in runs.groupby("task", sort=False):
        present = _present_settings(str(name), params, root)
        by_data = [part for _, part in task_runs.groupby(task_runs["validated_on"].fillna(""), sort=False)]
        by_data.sort(key=lambda part: part["started"].max(), reverse=True)
        for place, part in enumerate(by_data):
            note = "" if place == 0 else " (other labels or folds: not comparable with the runs above)"
            console.print(f"[bold]{name}[/bold] by {metric_name(_text(part['score_name'].iloc[0]))}{note}")
            console.print(_table_of_runs(part, scores, present))
        address = mlflow_address(root, task_runs["experiment_id"].iloc[0])
        console.print(address, style="dim", markup=False, highlight=False, soft_wrap=True)
    if not runs.empty:
        console.print(NOTE, style="dim", markup=False, highlight=False)
    submissions = list_submissions(root, task)
    if not submissions.empty:
        console.print()
        console.print(_table_of_submissions(submissions))
        print_cv_gaps(root, task)
    if any((table["git_dirty"] == "true").any() for table in (runs[runs["dvc_experiment"].isna()], submissions)):
        console.print(UNCOMMITTED, style="dim", markup=False, highlight=False)


def mlflow_address(root: Path, experiment_id: str) -> str:
    """Say where MLflow shows an experiment's trainings, and how to start its server where none is set."""
    given, page = os.environ.get("MLFLOW_TRACKING_URI", ""), page_of(experiment_id)
    if given.startswith("http"):
        scheme, _, rest = given.partition("://")
        return f"In MLflow: {scheme}://{rest.rpartition('@')[2].rstrip('/')}/{page}"  # without a password
    store = "$MLFLOW_TRACKING_URI" if given else tracking_uri(root).replace(f"{root.resolve()}/", "")
    return f"In MLflow, by `mlflow ui --backend-store-uri {store}`:\nhttp://127.0.0.1:5000/{page}"


def _present_settings(task: str, params: dict[str, Any], root: Path) -> dict[str, str]:
    """Return the task's settings as tracked, with those that the search chose; empty if it has none now."""
    from tropho.training.training_fingerprint import tuned

    try:
        settings = tuned(task_settings(task, params), Paths(root, task))
    except TrophoError:
        return {}
    fitted = [f"model.{name}" for name in FITTED if getattr(settings.model, name) is None] + ["model.fit_levels"]
    left_out = fitted if settings.model.fit_levels else []
    return {key: str(value) for key, value in tracked_parameters(settings).items() if key not in left_out}


def differences(run: dict[str, str], present: dict[str, str]) -> str:
    """List the settings of a run that differ from the present ones, such as "train.epochs=3, train.lr=0.01".

    Settings that only one of the two has are left out.
    """
    changed = {key: value for key, value in run.items() if present.get(key, value) != value}
    return ", ".join(f"{key}={short_value(value)}" for key, value in sorted(changed.items()))


def _table_of_runs(runs: pd.DataFrame, scores: Scores, present: dict[str, str]) -> "Table":
    """Rank runs; columns public and private are shown if a run has such a score."""
    from rich.table import Table

    pairs = [scores.get(run["id"], scores.get(run["record_id"], (nan, nan))) for _, run in runs.iterrows()]
    shown = {name: at for at, name in enumerate(("public", "private")) if any(not pd.isna(pair[at]) for pair in pairs)}
    table = Table(box=None, header_style="bold")
    names = ("rank", "score", "95 % interval", "images", *shown, "time", "started", "experiment", "run")
    for name in (*names, "differs from the present settings"):
        table.add_column(name, overflow="fold", no_wrap=name in {"95 % interval", "time", "started", "experiment"})
    for rank, ((_, run), pair) in enumerate(zip(runs.iterrows(), pairs, strict=True), 1):
        table.add_row(
            str(rank),
            f"{run['score']:.4f}",
            "-" if pd.isna(run["oof_low"]) else f"{run['oof_low']:.3f} to {run['oof_high']:.3f}",
            _text(run["oof_images"]),
            *(_score(pair[at]) for at in shown.values()),
            "-" if pd.isna(run["seconds"]) else duration(run["seconds"]),
            "-" if pd.isna(run["started"]) else f"{run['started']:%m-%d %H:%M}",
            _commit(run) if pd.isna(run["dvc_experiment"]) else run["dvc_experiment"],
            _text(run["id"])[:8],
            differences(run["parameters"], present) or "-",
        )
    return table


def _table_of_submissions(log: pd.DataFrame) -> "Table":
    """List submissions, newest last."""
    from rich.table import Table

    names = ("task", "submission", "written", "metric", "score", "interval", "public", "private", "commit")
    table = Table(*names, box=None, header_style="bold")
    for row in log.to_dict("records"):
        written, metric = row["written"][:16].replace("T", " "), metric_name(row["score_name"])
        score, public, private = (_score(row[key]) for key in ("score", "public", "private"))
        interval = "-" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}"
        table.add_row(row["task"], row["sha256"][:8], written, metric, score, interval, public, private, _commit(row))
    return table


def _commit(row: Mapping[Hashable, Any] | pd.Series) -> str:
    """Return the commit of a run or submission, with a + if its files differed from it."""
    return _text(row["git_commit"])[:8] + ("+" if _text(row["git_dirty"]) == "true" else "")


def _score(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.4f}"


def _text(value: object) -> str:
    return "-" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN
