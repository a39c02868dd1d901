"""What MLflow could not record is recorded later, once: over real sqlite stores, harmed and mended."""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.tracking import MlflowClient

from tropho.tracking import open_tracker, tracking_uri
from tropho.tracking.pending_records import PendingRecords
from tropho.tracking.recorder import is_outage
from tropho.tracking.store import connect, pending_folder

pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.fixture
def root(tmp_path):
    """A repository whose database is damaged."""
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    return tmp_path


@pytest.fixture
def mend(root, fresh_store):
    """Replace the database by a sound one and return a client of it."""

    def replace():
        shutil.copy(fresh_store, root / "mlflow.db")
        return connect(tracking_uri(root))

    return replace


def pending(root):
    folder = pending_folder(root)
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def train(root):
    """Record a training of one fold; returns the id that it goes by."""
    history = root / "history.csv"
    history.write_text("epoch,loss\n1,3.0\n")
    with open_tracker(root).run("train t", "t", tags={"stage": "train"}) as run:
        run.log_params({"lr": 0.1})
        with run.child("fold0", tags={"stage": "fold"}) as fold:
            fold.log_metrics({"loss": 3.0}, step=1)
            fold.log_metrics({"loss": 2.0}, step=2)
            fold.log_artifact(history, "texts")
        run.log_metrics({"score": 0.5})
    history.write_text("of another training")
    return run.id


def runs_of(client):
    experiment = client.get_experiment_by_name("t")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return {run.info.run_name: run for run in runs}, len(runs)


def assert_trained_once(client, root):
    runs, count = runs_of(client)
    assert (count, set(runs)) == (3, {"train t", "fold0", "next"})
    parent, fold = runs["train t"], runs["fold0"]
    assert [run.info.status for run in runs.values()] == ["FINISHED"] * 3
    assert parent.data.params == {"lr": "0.1"}
    assert parent.data.tags["stage"] == "train"
    assert parent.data.metrics == {"score": 0.5}
    assert fold.data.tags["mlflow.parentRunId"] == parent.info.run_id
    losses = client.get_metric_history(fold.info.run_id, "loss")
    assert [(each.step, each.value) for each in losses] == [(1, 3.0), (2, 2.0)]
    stored = client.download_artifacts(fold.info.run_id, "texts/history.csv", str(root))
    assert Path(stored).read_text(encoding="utf-8") == "epoch,loss\n1,3.0\n"
    assert pending(root) == []


def test_record_pending_after_a_damaged_database(root, mend, capsys):
    key = train(root)
    assert capsys.readouterr().err.count("Warning: MLflow can't be reached") == 1
    assert len([name for name in pending(root) if name.endswith(".jsonl")]) == 1
    client = mend()
    with open_tracker(root).run("next", "t") as after:
        pass
    assert "what it had missed of: fold0, train t" in capsys.readouterr().err
    assert_trained_once(client, root)
    runs, _ = runs_of(client)
    parent, fold = runs["train t"], runs["fold0"]
    assert parent.info.start_time <= fold.info.start_time
    first, second = client.get_metric_history(fold.info.run_id, "loss")
    assert fold.info.start_time <= first.timestamp <= second.timestamp <= fold.info.end_time
    assert fold.info.end_time <= runs["next"].info.start_time
    with open_tracker(root).run("train t", "t", run_id=key) as again:  # as evaluate does
        again.log_metrics({"oof/score": 0.4})
    assert again.id == parent.info.run_id
    assert client.get_run(again.id).data.metrics == {"score": 0.5, "oof/score": 0.4}
    assert after.id == runs["next"].info.run_id


def test_run_reopens_a_pending_run(root, mend):
    key = train(root)
    with open_tracker(root).run("train t", "t", run_id=key) as run:
        run.log_metrics({"oof/score": 0.4})
    assert run.id == key
    client = mend()
    open_tracker(root).record_pending()
    runs, count = runs_of(client)
    assert count == 2
    assert runs["train t"].data.metrics == {"score": 0.5, "oof/score": 0.4}


class Killed(BaseException):
    """Ends a replay as a kill would: nothing handles it."""


CALLS = ("create_experiment", "create_run", "log_batch", "log_artifact", "set_terminated")


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
def test_record_pending_killed_at_any_call_records_each_run_once(root, mend, monkeypatch, number, done):
    train(root)
    client = mend()
    calls = iter(range(1000))

    def killing(action):
        def call(*arguments, **options):
            if (last := next(calls) == number) and not done:
                raise Killed
            result = action(*arguments, **options)
            if last:
                raise Killed
            return result

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(MlflowClient, name, killing(getattr(MlflowClient, name)))
        with pytest.raises(Killed):
            open_tracker(root).record_pending()
    with open_tracker(root).run("next", "t"):
        pass
    assert_trained_once(client, root)


def test_record_pending_of_a_killed_process(root, mend):
    script = (
        "import os, signal, sys; from pathlib import Path; from tropho.tracking import open_tracker\n"
        "with open_tracker(Path(sys.argv[1])).run('train t', 't') as run:\n"
        "    run.log_metrics({'loss': 3.0}, step=1); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (journal,) = pending_folder(root).glob("*.jsonl")
    with journal.open("a") as file:
        file.write('{"do": "log", "run": "x", "metr')  # a line cut short
    client = mend()
    open_tracker(root).record_pending()
    runs, count = runs_of(client)
    assert (count, runs["train t"].info.status) == (1, "KILLED")
    assert runs["train t"].data.metrics == {"loss": 3.0}
    assert pending(root) == []


def test_record_pending_leaves_files_of_running_processes(root, mend):
    with open_tracker(root).run("train t", "t") as run:
        run.log_metrics({"loss": 3.0}, step=1)
        client = mend()
        open_tracker(root).record_pending()
        assert len(pending(root)) == 1
        assert runs_of(client)[1] == 0
    open_tracker(root).record_pending()
    runs, count = runs_of(client)
    assert (count, runs["train t"].info.status) == (1, "FINISHED")


def test_record_pending_after_a_locked_database(root, mend, monkeypatch):
    from mlflow.store.db import utils

    text = utils.sql.text
    monkeypatch.setattr(
        utils.sql, "text", lambda query: text(query.replace("busy_timeout = 20000", "busy_timeout = 1"))
    )
    client = mend()
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        train(root)
        assert pending(root) != []
    with open_tracker(root).run("next", "t"):
        pass
    assert_trained_once(client, root)


def test_record_pending_after_a_full_disk(root, mend, capfd):
    """The database may not grow; the small file of what is pending may."""
    client = mend()
    script = (
        "import resource, sys; from pathlib import Path; from tropho.tracking import open_tracker\n"
        "root = Path(sys.argv[1]); size = (root / 'mlflow.db').stat().st_size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "with open_tracker(root).run('train t', 't') as run:\n"
        "    for step in range(10): run.log_metrics({f'{i}' * 200: i for i in range(10)}, step=step)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Warning: MLflow can't be reached") == 1
    assert pending(root) != []
    open_tracker(root).record_pending()
    runs, count = runs_of(client)
    assert (count, runs["train t"].info.status) == (1, "FINISHED")
    for name in runs["train t"].data.metrics:
        assert [each.step for each in client.get_metric_history(runs["train t"].info.run_id, name)] == list(range(10))
    assert len(runs["train t"].data.metrics) == 10


def test_record_retries_a_full_disk(root, mend, monkeypatch, capsys):
    monkeypatch.setattr(
        PendingRecords, "append", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with open_tracker(root).run("train t", "t") as run:
        run.log_metrics({"loss": 3.0}, step=1)
        monkeypatch.undo()
    assert capsys.readouterr().err.count("Warning: MLflow and the disk take no records") == 1
    client = mend()
    open_tracker(root).record_pending()
    assert runs_of(client)[0]["train t"].data.metrics == {"loss": 3.0}


def test_read_skips_a_record_that_a_full_disk_cut_short(tmp_path):
    records = PendingRecords(tmp_path / "pending")
    records.append({"do": "log", "run": "a"})

    class Full(type(records._file)):
        def write(self, content):
            return super().write(content[:10])

    (file,) = (tmp_path / "pending").glob("*.jsonl")
    sound, records._file = records._file, Full(file, "r+")
    with pytest.raises(OSError, match="full"):
        records.append({"do": "log", "run": "b"})
    records._file = sound
    records.append({"do": "log", "run": "c"})
    assert [record["run"] for record in records.read()] == ["a", "c"]
    records.close()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MlflowException("x", codes.INVALID_PARAMETER_VALUE), False),
        (MlflowException("x", codes.RESOURCE_DOES_NOT_EXIST), False),
        (MlflowException("x", codes.TEMPORARILY_UNAVAILABLE), True),
        (MlflowException("malformed", codes.BAD_REQUEST), True),
        (MlflowException("wrong password", codes.PERMISSION_DENIED), True),
        (MlflowException("a web server that is no MLflow", codes.ENDPOINT_NOT_FOUND), True),
        (ConnectionError("refused"), True),
        (KeyError("a mistake here"), False),
    ],
)
def test_is_outage(error, expected):
    assert is_outage(error) is expected


def test_dummy_tracker_leaves_pending_records(root, mend, monkeypatch):
    train(root)
    before = pending(root)
    mend()
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    with open_tracker(root).run("next", "t"):
        pass
    assert pending(root) == before


def test_doctor_records_pending(root, mend):
    from tropho.commands.doctor import _pending_records

    assert list(_pending_records(root)) == []
    train(root)
    (waiting,) = _pending_records(root)
    assert waiting.remedy
    client = mend()
    (recorded,) = _pending_records(root)
    assert (recorded.state, recorded.remedy) == ("1 processes did not reach it; 1 recorded now", "")
    assert runs_of(client)[1] == 2
    assert list(_pending_records(root)) == []
