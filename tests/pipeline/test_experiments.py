"""What was trained outlives DVC's experiments: killed, in the workspace, in a queue, in another folder, undone."""

import os
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from pipeline.conftest import new_checkout
from pipeline.reduce import TINY_CELLS
from tropho.files import read_json, sha256_of

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


TASK = "cells_demo"
RATE = f"++tasks.{TASK}.train.lr"
WEIGHTS = f"models/{TASK}/fold0/weights.safetensors"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A small checkout in which nothing has run; the tests of this module use it one after the other."""
    tiny = {**TINY_CELLS, "train": {**TINY_CELLS["train"], "epochs": 40, "lr": 0.001}, "tune": {"trials": 0}}
    return new_checkout(tmp_path_factory.mktemp("experiments") / "tropho", {TASK: tiny}, [TASK])


def trained(project):
    """SHA-256 of the weights in runs/, by the learning rate that they were trained at."""
    configs = (project.path / "runs" / TASK).glob("*/config.yaml")
    settings = {path.parent: yaml.safe_load(path.read_text())["settings"] for path in configs}
    return {each["train"]["lr"]: sha256_of(path / "fold0" / "weights.safetensors") for path, each in settings.items()}


def experiment(project, *options):
    return project.run("dvc", "exp", "run", *options)


def set_active(project, *tasks):
    params = yaml.safe_load((project.path / "params.yaml").read_text())
    text = yaml.safe_dump({**params, "active": list(tasks)}, sort_keys=False)
    (project.path / "params.yaml").write_text(text)


def test_a_first_training_that_is_killed_goes_on(project):
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not list((project.path / "runs").rglob("state.pt")):
        assert process.poll() is None, "training ended before its first checkpoint was seen"
        assert time.monotonic() < deadline
        time.sleep(0.02)  # waits for another process's file; the test does not depend on how long
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    done = experiment(project)
    assert "epoch 40/40" in done.stdout + done.stderr
    assert "goes on after epoch" in done.stdout + done.stderr
    assert "epoch 1/40" not in done.stdout + done.stderr
    project.commit("trained")
    assert trained(project) == {0.001: sha256_of(project.path / WEIGHTS)}
    assert not list((project.path / "runs").rglob("state.pt"))


def test_experiments_leave_their_trainings_wherever_they_run(project):
    experiment(project, "--name", "here", "-S", f"{RATE}=0.002")
    here = sha256_of(project.path / WEIGHTS)
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")
    assert sha256_of(project.path / WEIGHTS) == trained(project)[0.001]
    experiment(project, "--temp", "--name", "aside", "-S", f"{RATE}=0.003")
    experiment(project, "--queue", "--name", "later", "-S", f"{RATE}=0.004")
    experiment(project, "--run-all")
    assert trained(project).keys() == {0.001, 0.002, 0.003, 0.004}
    assert trained(project)[0.002] == here
    for name, rate in (("aside", 0.003), ("later", 0.004), ("here", 0.002)):
        project.run("dvc", "exp", "apply", name)
        assert sha256_of(project.path / WEIGHTS) == trained(project)[rate]
    for folder in (project.path / "runs" / TASK).iterdir():
        names = {"run.json", "metrics.json", "submission.csv", "submission.json", "report.html", "config.yaml"}
        assert names <= {path.name for path in folder.iterdir()}


def test_a_task_taken_out_of_active_comes_back_without_training(project):
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")
    before, record = trained(project), read_json(project.path / f"models/{TASK}/run.json")
    set_active(project)
    experiment(project)
    assert not (project.path / WEIGHTS).exists()  # DVC removes what no stage owns any more
    assert trained(project) == before
    shutil.rmtree(project.path / ".dvc" / "cache")  # and it has forgotten what it knew
    set_active(project, TASK)
    done = experiment(project)
    assert "fold0  taken from" in done.stdout + done.stderr
    assert "goes on after epoch" not in done.stdout + done.stderr
    assert "epoch 1/40" not in done.stdout + done.stderr
    assert sha256_of(project.path / WEIGHTS) == before[0.001]
    assert read_json(project.path / f"models/{TASK}/run.json")["folds"] == record["folds"]
