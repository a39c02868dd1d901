"""Zindi competitions: files that the user placed, or fetched with Zindi's client (extra `zindi`).

Zindi shows data only to those who joined, so placing files by hand always works. The client is used if it is installed
and ZINDI_USERNAME and ZINDI_PASSWORD are set; neither is printed, kept, or passed on in an error.
"""

import contextlib
import importlib.util
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import is_archive, unpack_archives
from tropho.data.sources.local import copy_folder
from tropho.errors import DataError, ExternalError, UsageError
from tropho.files import copy_file, sha256_of, temporary_folder
from tropho.log import quiet_stderr
from tropho.paths import Paths
from tropho.tables import parse_number

TABLES = ("Train.csv", "Test.csv", "SampleSubmission.csv")
IMAGES = "images"
ACCEPTED = ("successful", "initial")
"""States of a submission that Zindi has scored or will score."""


class SubmissionResult(NamedTuple):
    """One submission on Zindi or Kaggle; a score is None while it is computed or hidden."""

    comment: str
    public: float | None
    private: float | None
    error: str | None  # why the site rejected it

    @property
    def scores(self) -> dict[str, float]:
        """The known scores by their columns of the submission log."""
        both = {"public": self.public, "private": self.private}
        return {column: score for column, score in both.items() if score is not None}


def to_score(value: Any) -> float | None:
    """Return a score as a number; None if it is empty or not finite."""
    number = parse_number(str(value))
    return None if math.isnan(number) else number


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Copy tables, images and the content of archives from data/incoming/TASK, after downloading what is missing there.

    Some images may be missing, but no table and not all images. Tables may be zipped (Train.csv.zip), and images lie
    in archives of any name. An ExternalError says which files are missing, and where to place them.
    """
    incoming = Paths(root, settings.name).incoming
    if _missing(incoming) and settings.download.repo and _can_sign_in():
        _download(settings.download.repo, incoming)
    if missing := _missing(incoming):
        raise ExternalError(_what_to_place(missing, settings))
    has_folder = (incoming / IMAGES).is_dir()
    if has_folder:
        copy_folder(incoming / IMAGES, to / IMAGES)
    for path in sorted(incoming.iterdir()):
        if is_archive(path.name) and not (has_folder and path.name == f"{IMAGES}.zip"):
            copy_file(path, to / path.name)
    for table in filter(lambda table: (incoming / table).is_file(), TABLES):
        copy_file(incoming / table, to / table)
    archives = unpack_archives(to, str(incoming))
    if absent := [table for table in TABLES if not (to / table).is_file()]:
        raise DataError(f"The archive of {absent[0]} in {incoming} holds no {absent[0]}; place the table itself.")
    return {
        "source": "zindi",
        "challenge": settings.download.repo,
        "tables": {table: sha256_of(to / table) for table in TABLES},
        "images": sum(path.is_file() for path in (to / IMAGES).rglob("*")),
        "archives": archives,
    }


def submit(challenge: str, submission: Path, comment: str) -> str:
    """Upload a submission file to a challenge; returns its id on Zindi."""
    user = _sign_in(challenge)
    with _request("take the submission", challenge):
        answers = user.submit(filepaths=[str(submission)], comments=[comment], to_print=False)
    answer = answers[0] if answers else {}
    if answer.get("status") != "success":
        reason = answer.get("errors", "it gave no reason")
        raise ExternalError(f"Zindi refused {submission}: {reason}; correct it and try again.")
    return str(answer["submission_id"])


def results(challenge: str) -> list[SubmissionResult]:
    """List the newest of the user's submissions to a challenge, oldest first.

    Raises:
        UsageError, ExternalError: as `submit`.
    """
    user = _sign_in(challenge)
    with _request("list your submissions", challenge):
        board = user.submission_board(to_print=False, as_model=True)
    return [
        SubmissionResult(
            entry.comment or "",
            to_score(entry.public_score),
            to_score(entry.private_score),
            None if entry.status in ACCEPTED else entry.status_description or entry.status,
        )
        for entry in sorted(board.submissions, key=lambda entry: entry.created_at or "")
    ]


def _missing(incoming: Path) -> list[str]:
    names = {path.name for path in incoming.iterdir()} if incoming.is_dir() else set()
    missing = [table for table in TABLES if not names & {table, f"{table}.zip"}]
    zipped_tables = {f"{table}.zip" for table in TABLES}
    if IMAGES not in names and not any(is_archive(name) for name in names - zipped_tables):
        missing.append(f"{IMAGES}.zip (or the folder {IMAGES}/)")
    return missing


def _what_to_place(missing: list[str], settings: TaskConfig) -> str:
    challenge, page, client = settings.download.repo, "the competition's page", ""
    if challenge:
        page = f"https://zindi.africa/competitions/{challenge}/data"
        client = ", or pip install -e '.[zindi]' and set ZINDI_USERNAME and ZINDI_PASSWORD"
    return f"Place {', '.join(missing)} from {page} in data/incoming/{settings.name}/{client}, then run again."


def _can_sign_in() -> bool:
    has_client = importlib.util.find_spec("zindi") is not None
    return has_client and bool(os.environ.get("ZINDI_USERNAME") and os.environ.get("ZINDI_PASSWORD"))


def _sign_in(challenge: str) -> Any:
    if not _can_sign_in():
        raise UsageError("Zindi needs pip install -e '.[zindi]', and ZINDI_USERNAME and ZINDI_PASSWORD to be set.")
    from zindi.user import Zindian

    with _request("sign you in (check ZINDI_USERNAME and ZINDI_PASSWORD)", challenge):
        user = Zindian(os.environ["ZINDI_USERNAME"], fixed_password=os.environ["ZINDI_PASSWORD"], to_print=False)
    with _request("open the challenge (join it on zindi.africa first)", challenge):
        selected = user.select_a_challenge(challenge_id=challenge, to_print=False, as_model=False)
    if selected["challenge"] is None:
        raise ExternalError(f"Zindi has no challenge '{challenge}'; correct download.repo in params.yaml.")
    return user


def _download(challenge: str, incoming: Path) -> None:
    """Fetch every file of the challenge, and move those that are missing into `incoming`."""
    user = _sign_in(challenge)
    incoming.mkdir(parents=True, exist_ok=True)
    with temporary_folder(incoming) as folder:
        with _request("send the files", challenge):
            user.download_dataset(destination=str(folder))
        for file in folder.iterdir():
            if not (incoming / file.name).exists():
                file.rename(incoming / file.name)


@contextlib.contextmanager
def _request(what: str, challenge: str) -> Iterator[None]:
    """Hide the client's progress bar, and turn its errors, which may hold what was sent, into a sentence."""
    try:
        with quiet_stderr():
            yield
    except Exception as error:  # the client raises bare Exception
        raise ExternalError(
            f"Zindi did not {what} for '{challenge}' ({type(error).__name__}); check that, or work by hand."
        ) from None
