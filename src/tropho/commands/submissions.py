"""Submissions: listed, uploaded, and recorded with the score that the leaderboard gave them."""

from pathlib import Path

import pandas as pd

from tropho.config.load import load_params, load_task
from tropho.config.task_config import TaskConfig
from tropho.data.sources import zindi
from tropho.errors import DataError, UsageError
from tropho.files import read_json, sha256_of
from tropho.log import info
from tropho.metrics.metric_names import metric_name
from tropho.paths import Paths
from tropho.submission.cv_gap import cv_gap_warnings
from tropho.submission.submission_log import SUBMISSIONS, read_log, record

WIDTH = 120
"""Columns of the tables if the output is no terminal."""
COLUMNS = ("task", "submission", "written", "metric", "score", "interval", "public", "private", "commit")


def list_submissions(root: Path, task: str | None) -> pd.DataFrame:
    """Read the submission log of one task, or of all; returns columns submission_log.SUBMISSIONS."""
    names = [task] if task is not None else list(load_params(root / "params.yaml")["tasks"])
    logs = [read_log(Paths(root, name).submission_log, Paths(root, name).log_copy) for name in names]
    logs = [log for log in logs if len(log)]
    return pd.concat(logs, ignore_index=True) if logs else pd.DataFrame(columns=list(SUBMISSIONS)).astype(SUBMISSIONS)


def leaderboard_scores(root: Path, task: str | None) -> dict[str, tuple[float, float]]:
    """Return (public, private) score of the newest recorded submission by run id; NaN if unknown."""
    log = list_submissions(root, task)
    scored = log[log["public"].notna() & log["run_id"].notna()]
    return {row["run_id"]: (row["public"], row["private"]) for _, row in scored.iterrows()}


def record_score(root: Path, task: str, public: float, private: float | None, file: str | None) -> str:
    """Record the leaderboard's score of a submission, redraw the chart, and return a sentence.

    Args:
        root: the repository.
        task: name in params.yaml.
        public: score on the public leaderboard.
        private: score on the private one; None if unknown.
        file: first digits of the file's SHA-256; None takes the present file in submissions/, else the newest one.
    """
    from tropho.plots.cv_vs_leaderboard import plot_cv_vs_leaderboard
    from tropho.plots.style import save

    paths = Paths(root, load_task(task, root / "params.yaml").name)
    if file is None and paths.submission.exists():
        present = sha256_of(paths.submission)
        file = present if present in set(read_log(paths.submission_log, paths.log_copy)["sha256"]) else None
    row = record(paths.submission_log, paths.log_copy, public, private, file).iloc[0]
    chart = plot_cv_vs_leaderboard(read_log(paths.submission_log, paths.log_copy))
    if chart is not None:
        save(chart, paths.leaderboard)
    return (
        f"Recorded {public:g} for {task}'s submission {row['sha256'][:8]} of {row['written'][:16]}, "
        f"cross-validated {row['score']:.4f}."
    )


def print_submissions(root: Path, task: str | None) -> None:
    """Print the submission log, newest last, and warnings about gaps to cross-validation."""
    from rich.console import Console
    from rich.table import Table

    log = list_submissions(root, task)
    if log.empty:
        return
    table = Table(*COLUMNS, box=None, header_style="bold")
    for _, row in log.iterrows():
        table.add_row(*_cells(row))
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print()
    console.print(table)
    print_cv_gaps(root, task)


def print_cv_gaps(root: Path, task: str | None) -> None:
    """Print to standard error where leaderboard and cross-validation differ."""
    for name, log in list_submissions(root, task).groupby("task", sort=False):
        for warning in cv_gap_warnings(log):
            info(f"{name}: {warning}")


def _cells(row: pd.Series) -> list[str]:
    interval = "-" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}"
    commit = "-" if pd.isna(row["git_commit"]) else row["git_commit"][:8]
    is_dirty = not pd.isna(row["git_dirty"]) and row["git_dirty"] == "true"
    return [
        *(row["task"], row["sha256"][:8], row["written"][:16].replace("T", " "), metric_name(row["score_name"])),
        *(format_score(row["score"]), interval, format_score(row["public"]), format_score(row["private"])),
        f"{commit}+" if is_dirty else commit,
    ]


def format_score(value: float) -> str:
    """Format with four decimals; a dash if unknown."""
    return "-" if pd.isna(value) else f"{value:.4f}"


def upload(settings: TaskConfig, root: Path, comment: str | None) -> str:
    """Upload submissions/TASK.csv as `submit` checked it, and return a sentence with its id on Zindi.

    Without a comment it says the cross-validated score and the first digits of the file's SHA-256.

    Raises:
        UsageError: the task is of no Zindi challenge, or client or credentials are missing.
        DataError: there is no submission, or it is not the file that was checked.
        ExternalError: Zindi can't be reached or refuses the file.
    """
    task, challenge, path = settings.name, settings.download.repo, Paths(root, settings.name).submission
    if settings.download.source != "zindi" or challenge is None:
        raise UsageError(f"tasks.{task}.download names no Zindi challenge (source zindi, repo), so there is no upload.")
    if not path.exists() or not path.with_suffix(".json").exists():
        raise DataError(f"{path} is not there; run `dvc repro submit@{task}` first.")
    checked, sha256 = read_json(path.with_suffix(".json")), sha256_of(path)
    if not checked["checked"] or checked["sha256"] != sha256:
        raise DataError(
            f"{path} is not a file that `tropho submit {task}` has checked against the competition's sample; run "
            f"`dvc repro -f submit@{task}`."
        )
    score = checked["score"]
    comment = comment or f"{metric_name(score['name'])} {score['oof']:.4f} out of fold, {sha256[:8]}"
    number = zindi.submit(challenge, path, comment)
    return (
        f"Uploaded {path.name} ({sha256[:8]}) to '{challenge}' as {number}; note what it scores with "
        f"`tropho record-score {task} SCORE`."
    )
