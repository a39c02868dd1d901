"""A database that a killed set-up left behind is replaced; one with runs never is."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from tropho.tracking import open_tracker
from tropho.tracking.store import ensure_database


def is_recorded(root):
    with open_tracker(root).run("train t", experiment="t") as run:
        run.log_metrics({"score": 0.5})
    return not (root / ".mlflow_pending").exists()


@pytest.mark.fault("an MLflow database whose set-up was cut off", "replaces it if it has no runs")
def test_ensure_database_replaces_an_empty_file(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert is_recorded(tmp_path)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_ensure_database_leaves_a_database_with_runs(tmp_path, fresh_store):
    path = tmp_path / "mlflow.db"
    shutil.copy(fresh_store, path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO runs (run_uuid, name) VALUES ('r', 'kept')")
        database.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
    database.close()
    before = path.read_bytes()
    ensure_database(path)
    assert path.read_bytes() == before


def test_ensure_database_leaves_other_files(tmp_path):
    (tmp_path / "mlflow.db").write_text("my notes")
    ensure_database(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "my notes"


@pytest.mark.slow
@pytest.mark.fault("a kill during MLflow's first set-up", "records the next run")
@pytest.mark.parametrize("seconds", [0.2, 0.8])
def test_ensure_database_killed(tmp_path, seconds):
    code = "import sys; from pathlib import Path; from tropho.tracking.store import ensure_database as e; "
    code += "import mlflow.store.tracking.sqlalchemy_store; print('go', flush=True); e(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "mlflow.db")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    process.stdout.readline()
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert is_recorded(tmp_path)


@pytest.mark.real
def test_ensure_database_of_a_real_case(tmp_path):
    found = ROOT.parent / "shared" / "cases" / "breaks" / "mlflow_half.db"
    if not found.exists():
        pytest.skip("the cases (../shared/cases) are not beside this checkout")
    (tmp_path / "mlflow.db").write_bytes(found.read_bytes())
    assert is_recorded(tmp_path)
