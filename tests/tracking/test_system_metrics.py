"""The machine's load is sampled while a run trains; no thread outlives the training."""

import sys
import threading
import time

import pytest

from tropho.tracking import open_tracker, tracking_uri
from tropho.tracking.recorder import Recorder
from tropho.tracking.store import connect
from tropho.tracking.system_metrics import SystemSampler

pytestmark = pytest.mark.usefixtures("own_environment")
CPU = "system/cpu_utilization_percentage"


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "SystemSampler"]


def test_sampler_measures_and_ends():
    sampler = SystemSampler(interval=0.001)
    samples = []
    while len(samples) < 3:
        samples += sampler.take()
    sampler.stop()
    samples += sampler.take()
    assert threads() == []
    assert sampler.take() == []
    times = [time for time, _ in samples]
    assert times == sorted(times)
    for _, values in samples:
        assert 0 <= values[CPU] <= 100
        assert values["system/system_memory_usage_megabytes"] > 0


def test_the_processors_load_is_that_of_the_run():
    sampler = SystemSampler(interval=60)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:  # keeps a core busy
        pass
    sampler.stop()
    ((_, values),) = sampler.take()
    assert values[CPU] > 0


def test_a_short_run_has_one_sample(root):
    with open_tracker(root).run("r", "t") as run, run.system_metrics():
        run.log_metrics({"loss": 1.0}, step=1)
    assert threads() == []
    client = connect(tracking_uri(root))
    assert len(client.get_metric_history(run.id, CPU)) == 1
    assert client.get_metric_history(run.id, "loss")[0].step == 1


def test_the_thread_ends_with_a_failed_training(root):
    with pytest.raises(KeyboardInterrupt), open_tracker(root).run("r", "t") as run, run.system_metrics():
        raise KeyboardInterrupt
    assert threads() == []


def test_samples_of_a_resumed_run_continue_and_repeats_are_left_out(root):
    client = connect(tracking_uri(root))
    key = {"run": "k"}
    opening = {
        **key,
        "do": "open",
        "name": "r",
        "experiment": "t",
        "parent": None,
        "run_id": None,
        "tags": {},
        "time": 1,
    }
    first = {**key, "do": "samples", "samples": [[1000, {CPU: 1.0}], [2000, {CPU: 2.0}]]}
    second = {**key, "do": "samples", "samples": [[2000, {CPU: 2.0}], [3000, {CPU: 3.0}]]}
    for records in ([opening, first], [opening, first, second, second]):  # the second is a later process
        recorder = Recorder(client, None)
        for record in records:
            recorder.apply(record)
    history = client.get_metric_history(recorder.id_of("k"), CPU)
    assert [(each.step, each.timestamp, each.value) for each in history] == [
        (0, 1000, 1.0),
        (1, 2000, 2.0),
        (2, 3000, 3.0),
    ]


def test_without_psutil_nothing_is_sampled(root, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("mlflow.system_metrics.metrics.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with open_tracker(root).run("r", "t") as run, run.system_metrics():
        assert threads() == []
        run.log_metrics({"loss": 1.0}, step=1)
    assert list(connect(tracking_uri(root)).get_run(run.id).data.metrics) == ["loss"]


def test_switched_off_as_mlflow_does(monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    sampler = SystemSampler(interval=0.001)
    assert threads() == []
    sampler.stop()
    assert sampler.take() == []
