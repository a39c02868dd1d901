"""A scratch checkout in which real `dvc` commands run, at reduced size."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.reduce import CHANGES, Changes, reduce

ROOT = Path(__file__).resolve().parents[2]


class Checkout:
    """A copy of the project's tracked files under its own git and DVC; `extra` is added to its environment."""

    def __init__(self, path: Path, extra: dict[str, str] | None = None) -> None:
        self.path = path
        self.extra = extra or {}

    @property
    def environment(self) -> dict[str, str]:
        """This interpreter's commands first; nothing of the caller's tracking, git or Hub set-up."""
        bin_folder = str(Path(sys.executable).parent)
        foreign = ("GIT_", "HF_", "MLFLOW_", "TROPHO_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_CONFIG_NOSYSTEM": "1"}
        committer = {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
        path = {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        return {**kept, **names, **committer, **path, **self.extra}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command here; its output is in the assertion when it fails and `check` is on."""
        done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def commit(self, message: str = "work") -> None:
        """Commit everything that is not ignored."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def edit(self, **tasks: dict) -> None:
        """Merge changes into params.yaml: edit(smear_demo={"train": {"epochs": 3}})."""
        reduce(self.path / "params.yaml", tasks)


def new_checkout(
    path: Path, changes: Changes, active: list[str] | None = None, extra: dict[str, str] | None = None
) -> Checkout:
    """A committed checkout with these changes and active tasks, in which nothing has run."""
    checkout = Checkout(path, extra)
    checkout.path.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the pipeline tests copy the files that git tracks, and this is no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (checkout.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout.path / name)
    reduce(checkout.path / "params.yaml", changes, active)
    checkout.run("git", "init", "-q", "-b", "main")
    checkout.commit("start")
    return checkout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `dvc repro` has run both demo tasks; not to be changed."""
    checkout = new_checkout(tmp_path_factory.mktemp("built") / "tropho", CHANGES)
    checkout.run("dvc", "repro")
    checkout.commit("built")
    return checkout


@pytest.fixture
def checkout(built: Checkout, tmp_path: Path) -> Callable[[], Checkout]:
    """Makes copies of `built`, free to be changed."""
    count = iter(range(100))

    def make() -> Checkout:
        path = tmp_path / f"copy{next(count)}"
        shutil.copytree(built.path, path, symlinks=True)
        return Checkout(path)

    return make
