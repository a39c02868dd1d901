"""Tags that tie a run to the code and the data it came from."""

import contextlib
import getpass
import shutil
import subprocess
from pathlib import Path

from tropho.files import sha256_of


def provenance(root: Path) -> dict[str, str]:
    """The git commit, whether tracked files differ from it, the SHA-256 of dvc.lock, and who runs it.

    What can't be known (no git, no commit yet, no dvc.lock) is left out. `dvc.lock` itself does not count as
    a difference: `dvc repro` rewrites it while it runs.
    """
    tags = {"mlflow.source.name": "tropho", "mlflow.source.type": "LOCAL"}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
        tags |= {
            "git_commit": commit,
            "git_dirty": str(changes != "").lower(),
            "mlflow.source.git.commit": commit,
        }
    lock = root / "dvc.lock"
    if lock.is_file():
        tags["dvc_lock"] = sha256_of(lock)
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
