"""The ledger of submissions: what was sent to a leaderboard, where it came from, and what it scored there.

One CSV a task, kept in git. A second copy outside git takes back what a checkout of an older state, or
`dvc exp apply`, would otherwise drop.
"""

import datetime
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from tropho.errors import DataError, UsageError
from tropho.files import atomic_path, reading
from tropho.tables import conform, empty, read_csv, write_table

LEDGER = {
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
    "public": "float64",  # what the leaderboard said, once recorded
    "private": "float64",
    "recorded": "string",  # when that was recorded, UTC
}


def read_ledger(path: Path, copy: Path) -> pd.DataFrame:
    """The rows (LEDGER) of both copies, each file once, oldest first; no rows where there is neither.

    Raises:
        DataError: one of them is damaged; the sentence says how to restore it, since nothing else knows what it holds.
    """
    tables = [_read(each, other) for each, other in ((copy, path), (path, copy)) if each.exists()]
    if not tables:
        return empty(LEDGER)
    rows = pd.concat(tables, ignore_index=True)
    # Of two versions of a row the later recorded one counts, cell by cell.
    rows = rows.sort_values("recorded", na_position="first", kind="stable")
    merged = rows.groupby(["task", "sha256"], sort=False, as_index=False).last()
    return conform(merged.sort_values(["written", "sha256"], ignore_index=True), LEDGER)


def append(path: Path, copy: Path, entry: dict[str, Any] | None) -> pd.DataFrame:
    """Add a submission and return the whole ledger; None, or a file that is known already, changes nothing."""
    with _locked(copy):
        ledger = read_ledger(path, copy)
        if entry and entry["sha256"] not in set(ledger["sha256"]):
            row = pd.DataFrame([entry]).reindex(columns=list(LEDGER)).astype(LEDGER)
            ledger = row if ledger.empty else pd.concat([ledger, row], ignore_index=True)
        _write(ledger, path, copy)
    return ledger


def record(
    path: Path, copy: Path, public: float, private: float | None = None, sha256: str | None = None
) -> pd.DataFrame:
    """Note what the leaderboard said of a submission; returns its row.

    Args:
        path: the ledger.
        copy: its copy outside git.
        public: the public score.
        private: the private score, once it is known.
        sha256: the first digits of the file's hash; None = the newest submission.

    Raises:
        UsageError: a score outside 0..1, an empty ledger, or a hash that fits no row, or several.
    """
    for score in (public, private):
        if score is not None and not 0 <= score <= 1:
            raise UsageError(f"{score:g} is no score between 0 and 1; write 91.3 % as 0.913.")
    with _locked(copy):
        ledger = read_ledger(path, copy)
        row = _row_of(ledger, sha256)
        ledger.loc[row, "public"] = public
        if private is not None:
            ledger.loc[row, "private"] = private
        ledger.loc[row, "recorded"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        _write(ledger, path, copy)
    return ledger.loc[[row]]


def keep_file(submission: Path, copy: Path) -> None:
    """Keep a submission's bytes, gzipped, as `copy`: stages overwrite the file itself."""
    if copy.exists():
        return
    with atomic_path(copy) as temporary:
        temporary.write_bytes(gzip.compress(submission.read_bytes(), mtime=0))


def _row_of(ledger: pd.DataFrame, sha256: str | None) -> int:
    if ledger.empty:
        raise UsageError("There is no submission in the ledger to record a score for; run `tropho submit TASK`.")
    if sha256 is None:
        return int(ledger.index[-1])
    fitting = ledger.index[ledger["sha256"].str.startswith(sha256.lower())]
    if len(fitting) != 1:
        many = "no submission" if fitting.empty else f"{len(fitting)} submissions"
        known = ", ".join(ledger["sha256"].str[:8].tail(5))
        raise UsageError(f"The hash '{sha256}' fits {many} in the ledger; the newest are {known}.")
    return int(fitting[0])


def _read(path: Path, other: Path) -> pd.DataFrame:
    try:
        with reading(path):
            table = conform(read_csv(path, LEDGER), LEDGER, path.name)
            if table[["task", "sha256", "written"]].isna().any(axis=None):
                raise ValueError("a row lacks its first columns")
            return table
    except DataError as error:
        raise DataError(
            f"{path} is damaged; restore it from git, or from its copy {other}, and run this again."
        ) from error


@contextmanager
def _locked(copy: Path) -> Iterator[None]:
    """Keep other processes from changing the ledger meanwhile."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copy.with_suffix(".lock")):
        yield


def _write(ledger: pd.DataFrame, path: Path, copy: Path) -> None:
    for each in (copy, path):
        write_table(ledger, each, LEDGER)
