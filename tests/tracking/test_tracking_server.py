"""A real MLflow server on this machine: used, killed in the middle of a run, absent, and back again."""

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
    """(address, start, kill) of a server that runs not yet; MLFLOW_TRACKING_URI points at it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        f"{tmp_path}/files",
    ]
    started = []

    def start():
        with (tmp_path / "server.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *command, *stores],
                start_new_session=True,
                stdout=log,
                stderr=log,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                cwd=tmp_path,
            )
        started.append(process)
        deadline = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=1):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < deadline, "the server did not start within 3 minutes"
                time.sleep(0.1)

    def kill():
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.delenv("TROPHO_TRACKING", raising=False)
    yield address, start, kill
    kill()


@pytest.mark.slow
def test_run_with_a_server_killed_and_restarted(server, tmp_path, capsys):
    address, start, kill = server
    folder = tmp_path / "fold0"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"w")
    with open_tracker(tmp_path).run("early", "t") as early:  # refused: nobody listens yet
        early.log_metrics({"score": 0.1})
    assert "can't be reached" in capsys.readouterr().err
    start()
    tracker = open_tracker(tmp_path)
    with tracker.run("before", "t", tags={"stage": "train"}) as run:
        run.log_metrics({"score": 0.5}, step=1)
        run.log_artifact(folder, "fold0")
        run.log_model(folder, "t", alias="champion")
    client = connect(address)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert client.get_model_version_by_alias("t", "champion").run_id == run.id
    assert best_runs(tmp_path)["run"].tolist() == ["before", "early"]
    assert capsys.readouterr().err == "Recorded with MLflow what it had missed of: early.\n"

    started = time.monotonic()
    with tracker.run("hit", "t") as run:
        run.log_metrics({"loss": 1.0}, step=1)
        kill()
        for epoch in range(2, 50):
            run.log_metrics({"loss": 1.0}, step=epoch)
            run.log_artifact(folder / "weights.safetensors")
        run.log_model(folder, "t", content="hash")
    with tracker.run("after", "t") as late:
        late.log_params({"a": 1})
    assert late.id is not None
    assert time.monotonic() - started < 60  # one refused connection, not fifty with seven retries each
    assert capsys.readouterr().err.count("Warning") == 1
    assert not (tmp_path / "mlflow.db").exists()

    start()
    open_tracker(tmp_path).record_pending()
    assert list((tmp_path / ".mlflow_pending").iterdir()) == []
    runs = client.search_runs([client.get_experiment_by_name("t").experiment_id])
    assert sorted((each.info.run_name, each.info.status) for each in runs) == [
        ("after", "FINISHED"),
        ("before", "FINISHED"),
        ("early", "FINISHED"),
        ("hit", "FINISHED"),
    ]
    assert [each.step for each in client.get_metric_history(run.id, "loss")] == list(range(1, 50))
    assert [each.path for each in client.list_artifacts(run.id)] == ["weights.safetensors"]
    assert [each.version for each in client.search_model_versions("name = 't'")] == ["2", "1"]


def test_run_without_a_server(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    tracker = open_tracker(tmp_path)
    for epoch in range(20):
        with tracker.run("r", "t") as run:
            run.log_metrics({"loss": 1.0}, step=epoch)
    assert list((tmp_path / ".mlflow_pending").glob("*.jsonl"))
    assert time.monotonic() - started < 60
    assert capsys.readouterr().err.count("Warning") == 1
