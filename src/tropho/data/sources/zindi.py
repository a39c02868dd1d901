"""Zindi competitions: files that the user placed, or fetched with Zindi's client (extra `zindi`).

Zindi shows data only to those who joined the competition, so placing the files by hand always works; the
client is used where it is installed and ZINDI_USERNAME and ZINDI_PASSWORD are in the environment. Neither
is ever printed, kept, or passed on in an error.
"""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import is_archive, unpack
from tropho.data.sources.copy_files import copy_file, copy_folder
from tropho.data.sources.download_progress import quiet_stderr
from tropho.data.sources.nested_archives import archives_in
from tropho.errors import DataError, ExternalError, UsageError
from tropho.files import sha256_of, temporary_folder

TABLES = ("Train.csv", "Test.csv", "SampleSubmission.csv")
IMAGES = "images"


def incoming_folder(settings: TaskConfig, root: Path) -> Path:
    """Return the folder in which a user places a competition's files."""
    return root / "data" / "incoming" / settings.name


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Fill the empty folder `to` with the three tables, the images and what is in archives in data/incoming/TASK.

    What is absent there is downloaded first, if the client and credentials are there. Some images may be
    missing (the audit lists them), but not a table and not all images. Tables may be zipped too (Train.csv.zip), and
    the images in archives of any name.

    Raises:
        ExternalError: naming the files to place and where.
        DataError: if an archive is damaged.
    """
    incoming = incoming_folder(settings, root)
    if _absent(incoming) and settings.download.repo and _can_sign_in():
        _download(settings.download.repo, incoming)
    if absent := _absent(incoming):
        raise ExternalError(_what_to_place(absent, settings))
    count = _place_images(incoming, to / IMAGES)
    for path in _other_archives(incoming):
        copy_file(path, to / path.name)
    archives = archives_in(to, str(incoming))
    for table in TABLES:
        if (incoming / table).is_file():
            copy_file(incoming / table, to / table)
    if packed := [table for table in TABLES if not (to / table).is_file()]:
        raise DataError(f"The archive of {packed[0]} in {incoming} holds no {packed[0]}; place the table itself.")
    return {
        "source": "zindi",
        "challenge": settings.download.repo,
        "tables": {table: sha256_of(to / table) for table in TABLES},
        "images": count,
        **archives,
    }


def submit(challenge: str, submission: Path, comment: str) -> str:
    """Upload a submission file to a challenge; return Zindi's id of it.

    Raises:
        UsageError: if the client or the credentials are missing.
        ExternalError: if Zindi can't be reached or refuses the file.
    """
    if not _can_sign_in():
        raise UsageError(
            "Uploading needs pip install 'tropho[zindi]', and ZINDI_USERNAME and ZINDI_PASSWORD to be set."
        )
    user = _signed_in(challenge)
    with _asking("take the submission", challenge):
        answers = user.submit(filepaths=[str(submission)], comments=[comment], to_print=False)
    answer = answers[0] if answers else {}
    if answer.get("status") != "success":
        raise ExternalError(
            f"Zindi refused {submission}: {answer.get('errors', 'it gave no reason')}; mend it and retry."
        )
    return str(answer["submission_id"])


def _absent(incoming: Path) -> list[str]:
    names = {path.name for path in incoming.iterdir()} if incoming.is_dir() else set()
    absent = [table for table in TABLES if not names & {table, f"{table}.zip"}]
    packed_tables = {f"{table}.zip" for table in TABLES}
    if IMAGES not in names and not any(is_archive(name) for name in names - packed_tables):
        absent.append(f"{IMAGES}.zip (or the folder {IMAGES}/)")
    return absent


def _other_archives(incoming: Path) -> list[Path]:
    """Archives beside images.zip, which counts for nothing where the folder images/ is there."""
    return [path for path in sorted(incoming.iterdir()) if is_archive(path.name) and path.name != f"{IMAGES}.zip"]


def _what_to_place(absent: list[str], settings: TaskConfig) -> str:
    names = ", ".join(absent[:-1]) + " and " + absent[-1] if len(absent) > 1 else absent[0]
    where = f"data/incoming/{settings.name}/"
    challenge = settings.download.repo
    page = f" from https://zindi.africa/competitions/{challenge}/data" if challenge else " from the competition's page"
    client = ", or pip install 'tropho[zindi]' and set ZINDI_USERNAME and ZINDI_PASSWORD" if challenge else ""
    return f"Place {names}{page} in {where}{client}, then run again."


def _place_images(incoming: Path, to: Path) -> int:
    """Copy images/, else unpack images.zip without the folders around the images; return their number."""
    if (incoming / IMAGES).is_dir():
        return copy_folder(incoming / IMAGES, to)
    if not (incoming / f"{IMAGES}.zip").is_file():
        return 0
    unpacked = to.with_name(f".{IMAGES}")
    count = unpack(incoming / f"{IMAGES}.zip", unpacked)
    inner = unpacked
    while len(entries := list(inner.iterdir())) == 1 and entries[0].is_dir():
        inner = entries[0]
    inner.rename(to)
    shutil.rmtree(unpacked, ignore_errors=True)
    return count


def _can_sign_in() -> bool:
    has_client = importlib.util.find_spec("zindi") is not None
    return has_client and bool(os.environ.get("ZINDI_USERNAME") and os.environ.get("ZINDI_PASSWORD"))


def _signed_in(challenge: str) -> Any:
    from zindi.user import Zindian

    with _asking("sign you in (check ZINDI_USERNAME and ZINDI_PASSWORD)", challenge):
        user = Zindian(os.environ["ZINDI_USERNAME"], fixed_password=os.environ["ZINDI_PASSWORD"], to_print=False)
    with _asking("open the challenge (join it on zindi.africa first)", challenge):
        chosen = user.select_a_challenge(challenge_id=challenge, to_print=False, as_model=False)
    if chosen["challenge"] is None:
        raise ExternalError(f"Zindi has no challenge '{challenge}'; correct download.repo in params.yaml.")
    return user


def _download(challenge: str, incoming: Path) -> None:
    """Fetch every file of the challenge beside `incoming`, then move in those that are not there yet."""
    user = _signed_in(challenge)
    incoming.mkdir(parents=True, exist_ok=True)
    with temporary_folder(incoming) as folder:
        with _asking("send the files", challenge):
            user.download_dataset(destination=str(folder))
        for file in folder.iterdir():
            if not (incoming / file.name).exists():
                file.rename(incoming / file.name)


@contextlib.contextmanager
def _asking(what: str, challenge: str) -> Iterator[None]:
    """Keep the client's bar off logs, and turn its errors, which may hold what was sent, into a sentence."""
    try:
        with quiet_stderr():
            yield
    except Exception as error:  # the client raises bare Exception
        raise ExternalError(
            f"Zindi did not {what} for '{challenge}' ({type(error).__name__}); check that, or work by hand."
        ) from None
