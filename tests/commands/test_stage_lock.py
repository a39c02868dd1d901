"""Lock of a stage: one process a stage, which ends with the DVC that started it."""

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from tropho.commands import stage_lock
from tropho.errors import UsageError

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


@pytest.mark.parametrize(
    ("stage", "storage", "rank", "locked"),
    [("tune", None, "0", True), ("tune", "sqlite:///a.db", "0", True), ("tune", "postgresql://h/a", "0", False),
     ("train", "postgresql://h/a", "0", True), ("train", None, "1", False), ("tune", None, "1", False),
     ("train", None, None, True)],
)  # fmt: skip
def test_one_process_a_stage_but_for_some(settings, tmp_path, monkeypatch, stage, storage, rank, locked):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    if rank:
        monkeypatch.setenv("RANK", rank)
    made = settings("cells_demo", **{"tune.storage": storage})
    before = signal.getsignal(signal.SIGTERM)
    with stage_lock.running(made, stage, tmp_path):
        lock = stage_lock.Paths(tmp_path, made.name).lock(stage)
        assert lock.exists() == locked
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        if locked:
            assert lock.read_text() == str(os.getpid())
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_stage_in_a_thread_leaves_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with stage_lock._ending_with_dvc():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("started", [False, True])
def test_a_stage_of_dvc_watches_it(monkeypatch, started):
    watched = threading.Event()
    monkeypatch.setattr(stage_lock, "_watch", lambda parent: watched.set() if parent == os.getppid() else None)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    if started:
        monkeypatch.setenv("DVC_STAGE", "train@t")
    with stage_lock._ending_with_dvc():
        assert watched.wait(5 if started else 0.05) == started


def test_a_stage_ends_once_its_parent_is_another(monkeypatch):
    parents, killed = iter([7, 7, 1]), []
    monkeypatch.setattr(stage_lock.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(stage_lock.os, "kill", lambda *call: killed.append(call))
    monkeypatch.setattr(stage_lock.time, "sleep", lambda seconds: None)
    stage_lock._watch(7)
    assert killed == [(os.getpid(), signal.SIGTERM)]
    assert list(parents) == []


@pytest.mark.parametrize(("free_at", "gets_it"), [(0.0, True), (14.0, True), (15.5, True), (16.0, False)])
def test_a_stage_waits_for_one_that_is_ending(tmp_path, monkeypatch, free_at, gets_it):
    fcntl = pytest.importorskip("fcntl")
    clock = SimpleNamespace(now=100.0)

    def lockf(file, flags):
        assert flags == fcntl.LOCK_EX | fcntl.LOCK_NB
        if clock.now < 100 + free_at:
            raise BlockingIOError

    def sleep(seconds):
        clock.now += seconds

    monkeypatch.setattr(stage_lock, "fcntl", SimpleNamespace(lockf=lockf, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB))
    monkeypatch.setattr(stage_lock, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    path = tmp_path / "lock"
    path.write_text("1234")
    with path.open("a+") as file:
        if gets_it:
            stage_lock._acquire(file, "train t")
            return
        with pytest.raises(UsageError, match=r"tropho train t is already running \(process 1234\)"):
            stage_lock._acquire(file, "train t")
