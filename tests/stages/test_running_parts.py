"""Who holds a stage's lock, who waits for it, and when a stage ends with its parent."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from tropho.commands import stage_lock
from tropho.errors import UsageError


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
