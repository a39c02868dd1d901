"""Uploading a submission to the competition that it is for."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.data.sources import zindi
from tropho.errors import DataError, UsageError
from tropho.files import read_json, sha256_of
from tropho.paths import Paths


def upload(settings: TaskConfig, root: Path, comment: str | None) -> str:
    """Upload submissions/TASK.csv as `submit` wrote and checked it; returns a sentence with Zindi's id of it.

    Without a comment it says the cross-validated score and the first digits of the file's SHA-256.

    Raises:
        UsageError: the task is of no Zindi challenge, or client or credentials are missing.
        DataError: there is no submission, or it is not the file that was checked.
        OutsideError: Zindi can't be reached or refuses the file.
    """
    challenge, name = settings.download.repo, settings.name
    if settings.download.source != "zindi" or challenge is None:
        raise UsageError(f"tasks.{name}.download names no Zindi challenge (source zindi, repo), so there is no upload.")
    path = Paths(root, name).submission
    if not path.exists() or not path.with_suffix(".json").exists():
        raise DataError(f"{path} is not there; run `dvc repro submit@{name}` first.")
    record = read_json(path.with_suffix(".json"))
    digest = sha256_of(path)
    if not record["checked"] or record["sha256"] != digest:
        raise DataError(
            f"{path} is not a file that `tropho submit {name}` has checked against the competition's sample; run "
            f"`dvc repro -f submit@{name}`."
        )
    score = record["score"]
    told = comment or f"{score['name']} {score['oof']:.4f} out of fold, {digest[:8]}"
    number = zindi.submit(challenge, path, told)
    return (
        f"Uploaded {path.name} ({digest[:8]}) to '{challenge}' as {number}; note what it scores with "
        f"`tropho leaderboard --record {name} SCORE`."
    )
