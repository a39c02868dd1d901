"""Submissions: listed, uploaded, and recorded with the score that the leaderboard gave them."""

import time
from collections.abc import Sequence
from math import isclose
from pathlib import Path
from types import ModuleType

import pandas as pd

from tropho.config.load import load_params, load_task
from tropho.config.task_config import TaskConfig
from tropho.data.sources import kaggle, zindi
from tropho.data.sources.zindi import SubmissionResult
from tropho.errors import DataError, ExternalError, UsageError
from tropho.files import read_json, sha256_of
from tropho.log import info
from tropho.metrics.metric_names import metric_name
from tropho.paths import Paths
from tropho.submission.submission_log import SUBMISSIONS, cv_gap_warnings, read_log, record

SITES: dict[str, ModuleType] = {"zindi": zindi, "kaggle": kaggle}
"""By source: what sends submissions to a competition and lists their scores."""
WAITS = (2, 3, 5, 10, 10, 15, 15)
"""Seconds between questions for the score of an uploaded file, a minute in all."""


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


def record_score(root: Path, task: str, public: float | None, private: float | None, file: str | None) -> str:
    """Record the leaderboard's scores of a submission, redraw the chart, and return a sentence.

    Without scores the competition's site is asked, see `read_scores`.

    Args:
        root: the repository.
        task: name in params.yaml.
        public: score on the public leaderboard; None if unknown.
        private: score on the private one; None if unknown.
        file: first digits of the file's SHA-256; None takes the present file in submissions/, else the newest one.

    Raises:
        UsageError: a score outside 0..1, but on Kaggle, where metrics have other ranges, too.
    """
    settings = load_task(task, root / "params.yaml")
    if public is None and private is None:
        return read_scores(settings, root, file)
    for score in (public, private):
        if score is not None and not 0 <= score <= 1 and settings.download.source != "kaggle":
            raise UsageError(f"{score:g} is no score between 0 and 1; write 91.3 % as 0.913.")
    paths = Paths(root, task)
    if file is None and paths.submission.exists():
        present = sha256_of(paths.submission)
        file = present if present in set(read_log(paths.submission_log, paths.log_copy)["sha256"]) else None
    return _record(paths, public, private, file)


def _record(paths: Paths, public: float | None, private: float | None, file: str | None) -> str:
    """Record scores, redraw the chart, and return a sentence."""
    from tropho.plots.style import save
    from tropho.plots.training_plots import plot_cv_vs_leaderboard

    row = record(paths.submission_log, paths.log_copy, public, private, file).iloc[0]
    scores = {"public": public, "private": private}
    shown = ", ".join(f"{name} {score:g}" for name, score in scores.items() if score is not None)
    chart = plot_cv_vs_leaderboard(read_log(paths.submission_log, paths.log_copy))
    if chart is not None:
        save(chart, paths.leaderboard)
    return (
        f"Recorded {shown} for {paths.task}'s submission {row['sha256'][:8]} of {row['written'][:16]}, "
        f"cross-validated {row['score']:.4f}."
    )


def read_scores(settings: TaskConfig, root: Path, file: str | None = None, waits: Sequence[float] = ()) -> str:
    """Ask the competition's site for scores of logged submissions, record those that are new, and say what it answers.

    A submission on the site is known by its comment, which begins with the first eight digits of the file's SHA-256.

    Args:
        settings: of the task.
        root: the repository.
        file: first digits of the SHA-256 of a submission; None asks for all.
        waits: seconds to wait before asking again while a score is missing.

    Raises:
        UsageError: the task is of no competition, or client or credentials are missing.
        DataError: the site has rejected `file`.
        ExternalError: the site can't be reached or refuses.
    """
    site, challenge = _site_of(settings)
    name, paths = settings.download.source.capitalize(), Paths(root, settings.name)
    log = list_submissions(root, settings.name)
    log = log[log["sha256"].str.startswith((file or "").lower())].set_index("sha256")
    lines = []
    for sha256, result in _ask(site, challenge, list(log.index), waits).items():
        if result.error:
            lines.append(f"{name} rejected submission {sha256[:8]} ({result.error}); correct that and upload again.")
            if file:
                raise DataError(lines[-1])
        elif not result.scores:
            later = f"run `tropho record-score {settings.name}` in some minutes"
            lines.append(f"{name} has not scored submission {sha256[:8]} yet; {later}.")
        elif not all(isclose(score, log[key][sha256]) for key, score in result.scores.items()):
            lines.append(_record(paths, result.public, result.private, sha256))
    return "\n".join(lines) or f"{name} tells no score of {settings.name}'s submissions that the log lacks."


def _ask(site: ModuleType, challenge: str, hashes: list[str], waits: Sequence[float]) -> dict[str, SubmissionResult]:
    """Ask the site for results of submissions, by SHA-256; wait and ask again until all of them are scored."""
    for seconds in (*waits, None):
        answers = {result.comment[:8]: result for result in site.results(challenge)}
        found = {sha256: answers[sha256[:8]] for sha256 in hashes if sha256[:8] in answers}
        is_final = len(found) > 0 and all(result.scores or result.error for result in found.values())
        if seconds is None or is_final or not hashes:
            break
        time.sleep(seconds)
    return found


def _site_of(settings: TaskConfig) -> tuple[ModuleType, str]:
    """Return the competition's site and the competition's name there."""
    download = settings.download
    if not download.is_competition or download.repo is None:
        raise UsageError(
            f"tasks.{settings.name}.download names no competition (source zindi or kaggle, and repo), so nothing can "
            "be uploaded to it or read from it."
        )
    return SITES[download.source], download.repo


def print_cv_gaps(root: Path, task: str | None) -> None:
    """Print to standard error where leaderboard and cross-validation differ."""
    for name, log in list_submissions(root, task).groupby("task", sort=False):
        for warning in cv_gap_warnings(log):
            info(f"{name}: {warning}")


def upload(settings: TaskConfig, root: Path, comment: str | None) -> str:
    """Upload submissions/TASK.csv as `submit` checked it, wait for its score, and say what the site answers.

    The comment begins with the first digits of the file's SHA-256. Without `comment` the cross-validated score follows.

    Raises:
        UsageError: the task is of no competition, or client or credentials are missing.
        DataError: there is no submission, it is not the file that was checked, or the site rejects it.
        ExternalError: the site can't be reached or refuses the file.
    """
    site, challenge = _site_of(settings)
    task, path = settings.name, Paths(root, settings.name).submission
    if not path.exists() or not path.with_suffix(".json").exists():
        raise DataError(f"{path} is not there; run `dvc repro submit@{task}` first.")
    checked, sha256 = read_json(path.with_suffix(".json")), sha256_of(path)
    if not checked["checked"] or checked["sha256"] != sha256:
        raise DataError(
            f"{path} is not a file that `tropho submit {task}` has checked against the competition's sample; run "
            f"`dvc repro -f submit@{task}`."
        )
    score = checked["score"]
    comment = comment or f"{metric_name(score['name'])} {score['oof']:.4f} out of fold"
    number = site.submit(challenge, path, f"{sha256[:8]}: {comment}")
    info(f"Uploaded {path.name} ({sha256[:8]}) to '{challenge}' as {number}; waiting for its score.")
    try:
        return read_scores(settings, root, sha256, WAITS)
    except ExternalError as error:
        return f"The file is uploaded, its score is not known yet: {error} Then run `tropho record-score {task}`."
