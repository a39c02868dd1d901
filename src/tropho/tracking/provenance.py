"""What ties a run to its code, data and settings."""

import contextlib
import getpass
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tropho.config.model_config import Checkpoint
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import fingerprint, read_yaml, reading, sha256_of

REWRITTEN = (":(exclude)dvc.lock", ":(exclude)submissions/*.ledger.csv")
"""Tracked files that `dvc repro` rewrites while it runs."""


def code_version(root: Path) -> dict[str, str]:
    """Get git_commit, git_dirty (`true` or `false`) and dvc_lock (its SHA-256) of the repository at `root`.

    What is unknown (no git, no commit, no dvc.lock) is left out. Untracked and rewritten files don't make it dirty.
    """
    version: dict[str, str] = {}
    commit = git(root, "rev-parse", "HEAD")
    if commit:
        changes = git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *REWRITTEN)
        version |= {"git_commit": commit, "git_dirty": str(changes != "").lower()}
    lock = root / "dvc.lock"
    if lock.is_file():
        version["dvc_lock"] = sha256_of(lock)
    return version


def clone_address(root: Path) -> str | None:
    """Get the address of the git remote `origin` without a user or password; None for a local path or no remote."""
    address = git(root, "config", "--get", "remote.origin.url") or ""
    scheme, mark, rest = address.partition("://")
    if mark and scheme != "file":
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return address if re.fullmatch(r"git@[\w.-]+:[\w./-]+", address) else None


def provenance(root: Path) -> dict[str, str]:
    """Get the tags of a new run: `code_version`, and MLflow's own for source, version and user."""
    version = code_version(root)
    tags = {**version, "mlflow.source.name": "tropho", "mlflow.source.type": "LOCAL"}
    if "git_commit" in version:
        tags["mlflow.source.git.commit"] = version["git_commit"]
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def stages_lock(root: Path, task: str, stages: tuple[str, ...]) -> str | None:
    """Hash dvc.lock's entries of some stages of a task: settings, data, code, outputs.

    Returns:
        16 hex digits; None if there is no entry. DVC writes an entry when the stage has ended.
    """
    entries = read_lock(root)
    locked = {stage: entries[f"{stage}@{task}"] for stage in stages if f"{stage}@{task}" in entries}
    return fingerprint(locked) if locked else None


def read_lock(root: Path) -> dict[str, Any]:
    """Read the stages of dvc.lock; DataError if it is damaged, as by a merge conflict."""
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


def tracked_parameters(settings: TaskConfig) -> dict[str, Any]:
    """List the settings that shape a model, by dotted key."""
    sections = {"split", "augment", "model", "train"}
    parameters = settings.model_dump(include=sections, exclude={"train": {"ensemble"}})
    if isinstance(checkpoint := settings.model.checkpoint, Checkpoint):
        parameters["model"] |= {"checkpoint": checkpoint.name, "checkpoint_revision": checkpoint.revision}
    return flatten(parameters)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to dotted keys: {"train": {"lr": 1}} -> {"train.lr": 1}; empty sections stay."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{dotted}."))
        else:
            flat[dotted] = value
    return flat


def git(root: Path, *arguments: str) -> str | None:
    """Get what git prints in a folder; None if it fails or is not installed."""
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [program, *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
