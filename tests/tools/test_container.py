"""The Dockerfile and the development container: their form, and the commands of the Dockerfile in an empty folder."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT

SYSTEM = re.compile(
    r"apt-get update && apt-get install -y --no-install-recommends( [a-z0-9.+-]+)+ && rm -rf /var/lib/apt/lists/\*"
)
"""How packages of the system are installed: without questions, and without leaving lists in the image."""


def instructions():
    """Instruction and argument of each line of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def of_the_project():
    """The commands of the Dockerfile that install nothing in the system."""
    return [text for name, text in instructions() if name == "RUN" and not text.startswith("apt-get")]


def copy_of_the_files(folder):
    """What `COPY . .` brings: the files that git knows or does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def run(command, folder):
    """Run a command in a shell without the caller's Python environment."""
    kept = {"HOME": str(folder), "PATH": os.environ["PATH"]} | {k: v for k, v in os.environ.items() if "PIP_" in k}
    return subprocess.run(["sh", "-c", command], cwd=folder, env=kept, capture_output=True, text=True, check=False)


def test_instructions_are_known_and_in_order():
    names = [name for name, _ in instructions()]
    assert set(names) == {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "CMD"}
    assert names[0] == "FROM"
    assert names[-1] == "CMD"
    assert names.index("COPY") > names.index("WORKDIR")


def test_system_packages_are_installed_without_questions_and_traces():
    system = [text for name, text in instructions() if name == "RUN" and text.startswith("apt-get")]
    assert len(system) == 1
    assert SYSTEM.fullmatch(system[0])
    assert {"git", "make"} <= set(system[0].split())


def test_python_of_the_image_is_one_that_the_project_takes():
    (version,) = re.findall(r"FROM python:(\d+)\.(\d+)-slim", (ROOT / "Dockerfile").read_text())
    assert tuple(map(int, version)) >= (3, 11)


def test_commands_are_targets_of_the_makefile(tmp_path):
    copy_of_the_files(tmp_path)
    (command,) = [text for name, text in instructions() if name == "CMD"]
    for text in [*of_the_project(), shlex.join(json.loads(command))]:
        assert text.startswith("make ")
        done = run(text.replace("make ", "make --dry-run "), tmp_path)
        assert done.returncode == 0, done.stderr


def test_what_docker_leaves_out_is_ignored_by_git():
    names = [name for name in (ROOT / ".dockerignore").read_text().splitlines() if name and name[0] not in "#!"]
    for name in set(names) - {"data/*/*"}:  # whose folders git ignores one by one
        way = name.replace("**", "src").replace("*", "x")
        asked = ["git", "check-ignore", way, f"{way}/x"]
        assert subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0, name


def test_development_container_uses_the_dockerfile():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    build = settings["build"]
    folder = ROOT / ".devcontainer"
    assert (folder / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / build["context"]).resolve() == ROOT
    assert any(text.endswith(f" AS {build['target']}") for name, text in instructions() if name == "FROM")
    assert settings["postCreateCommand"] in of_the_project()


@pytest.mark.slow
def test_commands_of_the_dockerfile_run_in_an_empty_folder(tmp_path: Path):
    """All but apt-get and the index of smaller packages, which a machine without network can't reach."""
    copy_of_the_files(tmp_path)
    try:
        for command in of_the_project():
            done = run(command, tmp_path)
            assert done.returncode == 0, done.stderr
        shown = run(".venv/bin/tropho --version && .venv/bin/dvc --version && .venv/bin/tropho status", tmp_path)
        assert shown.returncode == 0, shown.stderr
    finally:
        shutil.rmtree(tmp_path / ".venv", ignore_errors=True)  # gigabytes
