"""Tags that tie a run to the code and the data it came from."""

import contextlib
import getpass
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tropho.errors import DataError
from tropho.files import fingerprint, read_yaml, reading, sha256_of

REWRITTEN = (":(exclude)dvc.lock", ":(exclude)submissions/*.ledger.csv")


def code_version(root: Path) -> dict[str, str]:
    """git_commit, git_dirty (`true` or `false`) and dvc_lock (its SHA-256) of the repository at `root`.

    What can't be known (no git, no commit yet, no dvc.lock) is left out. Only tracked files can make it
    dirty, and neither `dvc.lock` nor ledgers, which `dvc repro` rewrites while it runs.
    """
    version: dict[str, str] = {}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *REWRITTEN)
        version |= {"git_commit": commit, "git_dirty": str(changes != "").lower()}
    lock = root / "dvc.lock"
    if lock.is_file():
        version["dvc_lock"] = sha256_of(lock)
    return version


def stages_lock(root: Path, task: str, stages: tuple[str, ...]) -> str | None:
    """Sixteen hex digits that stand for dvc.lock's entries of some stages of a task: settings, data, code, outputs.

    DVC writes a stage's entry when the stage has ended, so a stage can know those of the stages before it. The
    same function finds the entries again in any later dvc.lock. None without entries.
    """
    entries = read_lock(root)
    found = {stage: entries[f"{stage}@{task}"] for stage in stages if f"{stage}@{task}" in entries}
    return fingerprint(found) if found else None


def read_lock(root: Path) -> dict[str, Any]:
    """Read the stages that dvc.lock has entries of; raise DataError where it is damaged, as by a merge conflict."""
    lock = root / "dvc.lock"
    if not lock.is_file():
        return {}
    try:
        stages = read_yaml(lock).get("stages", {})
        with reading(lock):
            if not all(isinstance(entry["cmd"], str) for entry in stages.values()):
                raise ValueError("an entry has no command")
    except DataError as error:
        raise DataError(f"{error} A merge leaves conflict marks: keep one side, or delete the file.") from error
    return dict(stages)


def provenance(root: Path) -> dict[str, str]:
    """`code_version`, and MLflow's own tags for the columns of its lists: source, version, user."""
    version = code_version(root)
    tags = {**version, "mlflow.source.name": "tropho", "mlflow.source.type": "LOCAL"}
    if "git_commit" in version:
        tags["mlflow.source.git.commit"] = version["git_commit"]
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _git(root: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
