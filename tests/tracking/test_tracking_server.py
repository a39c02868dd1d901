"""A real MLflow server on this machine: used, killed in the middle of a run, and absent."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tropho.tracking import best_runs, open_tracker
from tropho.tracking.store import connect


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(address, kill) of a running server; MLFLOW_TRACKING_URI points at it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        f"{tmp_path}/files",
    ]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, *stores],
            start_new_session=True,
            stdout=log,
            stderr=log,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=tmp_path,
        )

    def kill():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.delenv("TROPHO_TRACKING", raising=False)
    deadline = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                break
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline, "the server did not start within 3 minutes"
            time.sleep(0.1)
    yield address, kill
    kill()


def test_a_server_that_is_killed_in_the_middle_of_a_run(server, tmp_path, capsys):
    address, kill = server
    folder = tmp_path / "fold0"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"w")
    tracker = open_tracker(tmp_path)
    with tracker.run("before", "t", tags={"stage": "train"}) as run:
        run.log_metrics({"score": 0.5}, step=1)
        run.log_artifact(folder, "fold0")
        assert run.log_model(folder, "t", alias="champion") == "1"
    client = connect(address)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert client.get_model_version_by_alias("t", "champion").run_id == run.id
    assert best_runs(tmp_path)["run"].tolist() == ["before"]
    assert capsys.readouterr().err == ""

    started = time.monotonic()
    with tracker.run("hit", "t") as run:
        run.log_metrics({"loss": 1.0}, step=1)
        kill()
        for epoch in range(2, 50):
            run.log_metrics({"loss": 1.0}, step=epoch)
            run.log_artifact(folder)
        assert run.log_model(folder, "t") is None
    with tracker.run("after", "t") as late:
        late.log_params({"a": 1})
    assert late.id is None
    assert time.monotonic() - started < 60  # one refused connection, not fifty with seven retries each
    assert capsys.readouterr().err.count("Warning") == 1
    assert not (tmp_path / "mlflow.db").exists()


def test_nobody_listens(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    tracker = open_tracker(tmp_path)
    for epoch in range(20):
        with tracker.run("r", "t") as run:
            run.log_metrics({"loss": 1.0}, step=epoch)
    assert run.id is None
    assert time.monotonic() - started < 60
    assert capsys.readouterr().err.count("Warning") == 1
