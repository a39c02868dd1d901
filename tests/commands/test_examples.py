"""Every command shows examples in its help, and every example runs."""

import shlex
import shutil

import pytest

import label_writers as writers
from label_writers import drawn_set
from pipeline.reduce import TINY_CELLS, reduce
from project import Project
from tropho.cli import app
from tropho.commands.examples import EXAMPLES, complete_task, epilog

SMALL_SMEAR = {"download": {"images": 12, "test_images": 4}}
NAMES = [command.name or command.callback.__name__ for command in app.registered_commands]
CALLS_OUTSIDE = {"upload": "is not there; add malaria to `active` in params.yaml, then run `dvc repro submit@malaria`"}
"""Commands that need an account, and what they say where nothing has run."""


@pytest.fixture
def small(tmp_path):
    """A project in which the demos are tiny, with the files that the examples name."""
    root = tmp_path / "project"
    root.mkdir()
    project = Project(root)
    reduce(root / "params.yaml", {"cells_demo": TINY_CELLS, "smear_demo": SMALL_SMEAR})
    project.run("smear_demo", "download", "audit", "split")
    (root / "submissions").mkdir()
    shutil.copy(root / "data/held_out/smear_demo/Truth.csv", root / "submissions/smear_demo.csv")
    pictures = drawn_set({"train": 20})
    writers.class_folders(tmp_path / "cells", pictures)
    for number, picture in enumerate((tmp_path / "cells").rglob("*.png"), start=1):
        shutil.copy(picture, root / f"cell{number}.png")
    return project


def test_every_command_has_an_example_in_its_help():
    assert set(NAMES) == set(EXAMPLES)
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert command.epilog == epilog(name)
        assert all(line.startswith(f"tropho {name}") for line in EXAMPLES[name])


def test_every_example_runs(small, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("tropho.app.serve.run_app", lambda *_: None)  # it would serve until it is stopped
    for name, lines in EXAMPLES.items():
        for line in lines:
            done = small.tropho(*shlex.split(line)[1:], code=None)
            if name in CALLS_OUTSIDE:
                assert CALLS_OUTSIDE[name] in done.stderr, line
            else:
                assert done.code == 0, f"{line}\n{done.text}"


def test_help_shows_the_examples(project):
    shown = project.tropho("labels", "--help").stdout
    assert f"Example: {EXAMPLES['labels'][0]}" in " ".join(shown.split())


def test_the_version_is_shown(project):
    assert project.tropho("--version").stdout.startswith("tropho 0.")


def test_the_shell_completes_tasks(project, monkeypatch):
    monkeypatch.chdir(project.root)
    assert complete_task("brain") == ["brain_tumor", "brain_tumor_binary"]
    (project.root / "params.yaml").write_text("tasks: [")
    assert complete_task("") == []
