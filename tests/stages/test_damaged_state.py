"""Every file that a stage or command reads, damaged: each ends in one sentence that names it, or is made again."""

import os
import shutil

import pytest

from pipeline.reduce import TINY_CELLS, reduce
from project import Project

TASK = "cells_demo"
STAGES = ("download", "audit", "split", "augment", "tune", "train", "evaluate", "submit", "report")
HARMS = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(range(256)) * 4,
    "merged": lambda content: b"<<<<<<< HEAD\n" + content + b"=======\n>>>>>>> other\n",
    "no keys": lambda content: b"{}\n",
}
READERS = {
    "data/audit/T/images.csv": ["split", "augment", "tune", "train", "evaluate", "submit"],
    "data/audit/T/boxes.csv": ["split", "augment", "tune", "train", "evaluate"],
    "data/audit/T/issues.csv": [],
    "data/audit/T/summary.json": ["augment", "tune", "train", "evaluate"],
    "data/splits/T.csv": ["augment", "tune", "train", "evaluate", "submit"],
    "data/splits/T.json": [],
    "data/augmented/T/cache/images.bin": ["augment", "tune", "train", "evaluate"],
    "data/augmented/T/cache/index.parquet": ["augment", "tune", "train", "evaluate"],
    "data/augmented/T/cache/cache.json": ["augment", "tune", "train", "evaluate"],
    "data/augmented/T/policy.json": ["augment"],
    "data/tuned/T.yaml": ["train"],
    "data/tuned/T/choice.json": [],
    "data/tuned/T/trials.csv": [],
    "data/fingerprints/T.json": ["fingerprint"],
    "data/fingerprints/T.weights.json": ["fingerprint"],
    "data/fingerprints/T.text.json": ["fingerprint"],
    "models/T/run.json": ["evaluate", "submit", "predict"],
    "models/T/fold0/weights.safetensors": ["evaluate", "predict"],
    "models/T/fold0/config.yaml": ["evaluate", "submit", "predict"],
    "models/T/fold0/history.csv": ["evaluate", "predict"],
    "runs/T/*/fold0/fold.json": ["train"],
    "runs/T/*/fold0/weights.safetensors": ["train"],
    "runs/T/*/fold0/history.csv": ["train"],
    "curves/T.csv": [],
    "metrics/T.json": [],
    "reports/T/evaluate/manifest.json": ["submit", "predict"],
    "reports/T/evaluate/postprocess.json": ["submit", "predict"],
    "reports/T/evaluate/metrics.json": ["submit", "status"],
    "reports/T/evaluate/test.parquet": ["submit"],
    "reports/T/evaluate/oof.parquet": [],
    "submissions/T.json": [],
    "submissions/T.ledger.csv": ["submit", "leaderboard", "record"],
    "submissions/archive/T/ledger.csv": ["submit", "leaderboard", "record"],
    "dvc.lock": ["status", "submit"],
    "optuna.db": ["tune"],
    "mlflow.db": ["tune", "train", "evaluate", "submit", "leaderboard"],
}
ONLY_SHOWN = {
    "params.yaml",
    "reports/T/evaluate/notes.json",
    "reports/T/evaluate/oof_postprocessed.parquet",
    "reports/T/evaluate/label_issues.csv",
    "reports/T/evaluate/thresholds.json",
    "submissions/T.csv",
    "submissions/archive/T/ledger.lock",
}
"""What the report alone reads, and the user's settings."""
PARTS = [
    (file, command, harm)
    for file, commands in READERS.items()
    for command in commands
    for harm in HARMS
    if harm != "no keys" or file.endswith((".json", ".yaml", ".lock"))
    if harm != "merged" or file.endswith((".json", ".yaml", ".lock", ".csv"))
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project in which every stage has run; not to be changed."""
    project = Project(tmp_path_factory.mktemp("whole"))
    reduce(project.root / "params.yaml", {TASK: TINY_CELLS}, [TASK])
    project.run(TASK, "fingerprint", *STAGES)
    (project.root / "dvc.lock").write_text("schema: '2.0'\nstages:\n  download@cells_demo:\n    cmd: tropho\n")
    return project


def copy_of(project, folder):
    """Link all files but databases, which are written in place."""
    link = lambda old, new: (shutil.copy2 if old.endswith(".db") else os.link)(old, new)  # noqa: E731
    shutil.copytree(project.root, folder / "copy", ignore=shutil.ignore_patterns("mlartifacts"), copy_function=link)
    return Project(folder / "copy")


def harm_file(path, harm):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(HARMS[harm](content))


def words(command, project):
    """A command line, and what it must say where it fails."""
    image = next((project.root / "data" / "raw" / TASK).rglob("*.png"))
    return {
        "predict": ["predict", TASK, image, "--out", "out.csv"],
        "record": ["record-score", TASK, "0.5"],
        "status": ["status"],
        "leaderboard": ["leaderboard"],
    }.get(command, [command, TASK])


@pytest.mark.fault(
    "any file that a stage or command reads, damaged",
    "makes it again, or ends in one sentence that names it",
)
@pytest.mark.parametrize(("file", "command", "harm"), PARTS)
def test_a_damaged_file_ends_in_one_sentence_or_is_made_again(whole, tmp_path, file, command, harm):
    project = copy_of(whole, tmp_path)
    (path,) = project.root.glob(file.replace("T", TASK))
    harm_file(path, harm)
    done = project.tropho(*words(command, project), code=None)
    if done.code:
        lines = done.stderr.splitlines()
        assert lines[-1].startswith("tropho: ")
        assert path.name in lines[-1] or str(path.parent.relative_to(project.root)) in lines[-1]
        assert sum(line.startswith("tropho: ") for line in lines) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.fault("a full disk", "one sentence that names the file")
@pytest.mark.parametrize("command", ["audit", "augment", "tune", "train", "evaluate", "report"])
def test_a_full_disk_is_said_in_one_sentence(whole, tmp_path, command, full_disk):
    project = copy_of(whole, tmp_path)
    made = {"augment": "data/augmented", "train": "models", "tune": "data/tuned"}
    shutil.rmtree(project.root / made[command]) if command in made else None
    with full_disk():
        done = project.tropho(command, TASK, code=3)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("tropho: ")]
    assert "has room" in line
    assert TASK in line or "optuna.db" in line


@pytest.mark.parametrize("harm", HARMS)
def test_the_report_is_written_whatever_is_damaged(whole, tmp_path, harm):
    project = copy_of(whole, tmp_path)
    for file in READERS:
        harm_file(next(project.root.glob(file.replace("T", TASK))), harm)
    project.run(TASK, "report")


def test_every_file_that_stages_leave_is_among_them(whole):
    known = {str(path.relative_to(whole.root)) for file in READERS for path in whole.root.glob(file.replace("T", TASK))}
    seen = {str(path.relative_to(whole.root)) for path in whole.root.rglob("*") if path.is_file()}
    copies = {each for each in seen if each.startswith("runs/") and "/fold0/" not in each}
    pictures = {each for each in seen if each.endswith((".png", ".html", ".gz"))}
    made_anew = (f"reports/{TASK}/evaluate/tables/", f"reports/{TASK}/document/")
    others = ("data/raw/", "data/held_out/", ".cache/", "mlartifacts/", *made_anew)
    rest = {each for each in seen - known - pictures - copies if not each.startswith(others)}
    assert rest == {each.replace("T", TASK) for each in ONLY_SHOWN}
