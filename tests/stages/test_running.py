"""Two processes never run the same stage, and none outlives the DVC that started it."""

import os
import signal
import subprocess
import sys

import pytest

from tropho.commands import stage_lock

STAGE = """
import sys, time
from pathlib import Path
from tropho import cli
from tropho.stages import split

def run(settings, root):
    print("begun", flush=True)
    while True:
        time.sleep(0.1)

split.run = run
sys.argv = ["tropho", "split", "cells_demo"]
cli.main()
"""
DVC = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STAGE!r}], env={{**os.environ, "DVC_STAGE": "split@cells_demo"}})
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def start(project):
    """Starts Python code in the project and waits for the stage in it to begin; stops it at the end."""
    processes = []

    def begin(code):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=project.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        processes.append(process)
        lines = []
        while "begun\n" not in lines:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        return process, lines

    yield begin
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.fault("a stage started twice", "refuses the second and names the process of the first")
def test_a_second_process_is_refused_and_told_which_one_runs(project, start, monkeypatch):
    monkeypatch.setattr(stage_lock, "LOCK_TIMEOUT", 0.0)
    monkeypatch.setattr(stage_lock, "POLL_INTERVAL", 0.01)
    process, _ = start(STAGE)
    told = project.tropho("split", "cells_demo", code=2).stderr
    assert f"tropho split cells_demo is already running (process {process.pid})" in told
    assert len(told.splitlines()) == 1
    assert "already running" not in project.tropho("audit", "cells_demo", code=1).stderr  # another stage is not held up
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "already running" not in project.tropho("split", "cells_demo", code=1).stderr


@pytest.mark.fault("DVC alone is killed", "the stage stops, so that none lives on beside a rerun")
def test_a_stage_ends_when_its_dvc_is_killed(project, start):
    dvc, _ = start(DVC)
    dvc.kill()
    dvc.wait()
    assert "tropho: stopped" in dvc.stderr.read()  # ends when the last process that writes there has
    assert "already running" not in project.tropho("split", "cells_demo", code=1).stderr


def test_a_stage_that_the_user_started_outlives_its_shell(project, start):
    process, lines = start(DVC.replace("DVC_STAGE", "OTHER"))
    process.kill()
    process.wait()
    (pid,) = (int(line) for line in lines if line.strip().isdigit())
    os.kill(pid, 0)
    os.kill(pid, signal.SIGTERM)
    assert "tropho: stopped" in process.stderr.read()


@pytest.mark.fault("Ctrl-C, or SIGTERM, while Python runs a destructor, which drops it", "the stage stops all the same")
def test_an_interrupt_that_python_drops_stops_the_stage(start):
    drops = "class Drops:\n    def __del__(self):\n        signal.raise_signal(signal.SIGINT)\n\n"
    stage = "import signal\n" + drops + STAGE.replace("    while True:", "    Drops()\n    while True:")
    process, _ = start(stage)
    assert process.communicate(timeout=60)[1].count("tropho: stopped") == 1


def test_several_processes_may_search_in_a_shared_database(project, start, monkeypatch, settings):
    monkeypatch.setattr(stage_lock, "LOCK_TIMEOUT", 0.0)
    shared = settings("smear_demo", **{"tune.storage": "journal:optuna.log"})
    with stage_lock.running(shared, "tune", project.root):
        assert not (project.root / ".cache" / "locks").exists()
