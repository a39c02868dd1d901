"""Keep the log of submissions: what was sent to a leaderboard, where it came from, and what it scored there.

Warn where the leaderboard and cross-validation disagree.

One CSV a task, kept in git. A second copy outside git restores rows that a checkout of an older state, or
`dvc exp apply`, drops.
"""

import datetime
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from tropho.errors import DataError, UsageError
from tropho.files import atomic_path, reading
from tropho.tables import conform, empty, read_csv, write_table

MIN_FOR_ORDER = 4  # recorded submissions from which their order is compared
SUBMISSIONS = {
    "task": "string",
    "sha256": "string",  # of the submission file; one row a file
    "written": "string",  # when the file was first made, UTC
    "git_commit": "string",
    "git_dirty": "string",  # true | false: tracked files differed from the commit
    "stages_lock": "string",  # see provenance.stages_lock
    "run_id": "string",  # of the training, on MLflow
    "score_name": "string",
    "score": "float64",  # cross-validated
    "low": "float64",  # its 95 % interval; empty where none could be had
    "high": "float64",
    "public": "float64",  # the leaderboard's score, once recorded
    "private": "float64",
    "recorded": "string",  # when that was recorded, UTC
}


def read_log(path: Path, copy: Path) -> pd.DataFrame:
    """Read the rows (SUBMISSIONS) of both copies, each submission once, oldest first; no rows where there is no file.

    Raises:
        DataError: one of them is damaged; the message says how to restore it.
    """
    tables = [_read(file, other) for file, other in ((copy, path), (path, copy)) if file.exists()]
    if not tables:
        return empty(SUBMISSIONS)
    rows = pd.concat(tables, ignore_index=True)
    # of two versions of a row the later recorded one counts, cell by cell
    rows = rows.sort_values("recorded", na_position="first", kind="stable")
    merged = rows.groupby(["task", "sha256"], sort=False, as_index=False).last()
    return conform(merged.sort_values(["written", "sha256"], ignore_index=True), SUBMISSIONS)


def append(path: Path, copy: Path, entry: dict[str, Any] | None) -> pd.DataFrame:
    """Add a submission and return the whole log; None, or a file that is known already, changes nothing."""
    with _locked(copy):
        log = read_log(path, copy)
        if entry and entry["sha256"] not in set(log["sha256"]):
            row = pd.DataFrame([entry]).reindex(columns=list(SUBMISSIONS)).astype(SUBMISSIONS)
            log = row if log.empty else pd.concat([log, row], ignore_index=True)
        _write(log, path, copy)
    return log


def record(
    path: Path, copy: Path, public: float | None, private: float | None = None, sha256: str | None = None
) -> pd.DataFrame:
    """Record the leaderboard's scores of a submission; return its row.

    Args:
        path: the log.
        copy: its copy outside git.
        public: the public score; None keeps what the log has.
        private: the private score; None likewise.
        sha256: the first digits of the file's hash; None = the newest submission.

    Raises:
        UsageError: an empty log, or a hash that fits no row, or several.
    """
    with _locked(copy):
        log = read_log(path, copy)
        row = _find_row(log, sha256)
        for column, score in (("public", public), ("private", private)):
            if score is not None:
                log.loc[row, column] = score
        log.loc[row, "recorded"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        _write(log, path, copy)
    return log.loc[[row]]


def recorded(submissions: pd.DataFrame) -> pd.DataFrame:
    """Return the submissions whose public score is known, in the order in which they were made."""
    return submissions[submissions["public"].notna() & submissions["score"].notna()].reset_index(drop=True)


def cv_gap_warnings(submissions: pd.DataFrame) -> list[str]:
    """Return sentences of warning, none while both scores agree, or if a public score outside 0..1 has another metric.

    The tolerance is half the width of the newest submission's cross-validation interval.

    - One recorded score: it lies outside the interval.
    - More: the newest one's gap, public minus cross-validated, differs from the earlier ones' median gap by more
      than the tolerance.
    - From `MIN_FOR_ORDER` on: higher cross-validated scores go with lower public ones (Kendall's tau below 0).

    Args:
        submissions: SUBMISSIONS, rows of one task.
    """
    known = recorded(submissions)
    if known.empty or not known["public"].between(0, 1).all():
        return []
    newest = known.iloc[-1]
    public, low, high = newest["public"], newest["low"], newest["high"]
    gaps = (known["public"] - known["score"]).to_numpy(np.float64)
    warnings = []
    if len(known) == 1 and not np.isnan((high - low) / 2) and not low <= public <= high:
        warnings.append(
            f"The public score {public:.4f} lies outside the cross-validation interval "
            f"{low:.4f} to {high:.4f}: the folds and the leaderboard measure different things; "
            "look for groups that leak across folds, and for images unlike the training ones."
        )
    if len(known) > 1 and abs(gaps[-1] - np.median(gaps[:-1])) > (high - low) / 2:
        warnings.append(
            f"The newest submission's public score differs from its cross-validated one by {gaps[-1]:+.4f}, usually by "
            f"{np.median(gaps[:-1]):+.4f}: the latest change improved only one of them; trust the score that rests on "
            "more images."
        )
    tau = known["score"].corr(known["public"], method="kendall") if len(known) >= MIN_FOR_ORDER else 0.0
    if tau < 0:
        warnings.append(
            f"Over {len(known)} submissions, those that do better in cross-validation do worse on the leaderboard "
            f"(Kendall's tau {tau:.2f}); trust neither until you know why."
        )
    return warnings


def keep_file(submission: Path, copy: Path) -> None:
    """Copy a submission, gzipped, to `copy`, unless it is there; stages overwrite the file itself."""
    if copy.exists():
        return
    with atomic_path(copy) as temporary:
        temporary.write_bytes(gzip.compress(submission.read_bytes(), mtime=0))


def _find_row(log: pd.DataFrame, sha256: str | None) -> int:
    if log.empty:
        raise UsageError("There is no submission in the log to record a score for; run `tropho submit TASK`.")
    rows = log.index[-1:] if sha256 is None else log.index[log["sha256"].str.startswith(sha256.lower())]
    if len(rows) != 1:
        many = "no submission" if rows.empty else f"{len(rows)} submissions"
        known = ", ".join(log["sha256"].str[:8].tail(5))
        raise UsageError(f"The hash '{sha256}' fits {many} in the log; the newest are {known}.")
    return int(rows[0])


def _read(path: Path, other: Path) -> pd.DataFrame:
    try:
        with reading(path):
            table = conform(read_csv(path, SUBMISSIONS), SUBMISSIONS, path.name)
            if table[["task", "sha256", "written"]].isna().any(axis=None):
                raise ValueError("a row lacks its first columns")
            return table
    except DataError as error:
        raise DataError(
            f"{path} is damaged; restore it from git, or from its copy {other}, and run this again."
        ) from error


@contextmanager
def _locked(copy: Path) -> Iterator[None]:
    """Lock the log against other processes."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copy.with_suffix(".lock")):
        yield


def _write(log: pd.DataFrame, path: Path, copy: Path) -> None:
    for file in (copy, path):
        write_table(log, file, SUBMISSIONS)
