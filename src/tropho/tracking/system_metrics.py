"""Load of the machine while a run trains: processor, memory, disk, network and GPUs, as MLflow measures them."""

import importlib
import os
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

Sample = tuple[int, dict[str, float]]
"""Milliseconds since 1970, and values by name."""
INTERVAL = 10.0
"""Seconds between samples, unless MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL is set."""
PREFIX = "system/"
MAX_WAIT = 5.0  # seconds for the thread's end, should a driver hang


class SystemSampler:
    """Samples the machine's load in a thread; whoever records it takes the samples, so the thread calls no server.

    It samples nothing without psutil, or where MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING is false.
    """

    def __init__(self, interval: float | None = None) -> None:
        given = os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "")
        self._interval = interval or (float(given) if given.replace(".", "", 1).isdigit() else 0) or INTERVAL
        is_off = os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").strip().lower() in {"false", "0"}
        self._monitors = [] if is_off else _monitors()
        self._samples: SimpleQueue[Sample] = SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="SystemSampler", daemon=True)
        if self._monitors:
            self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end the thread."""
        self._ended.set()
        if self._monitors:
            self._thread.join(MAX_WAIT)

    def take(self) -> list[Sample]:
        """Return the samples since the last call, oldest first."""
        return [self._samples.get() for _ in range(self._samples.qsize())]

    def _run(self) -> None:
        with suppress(Exception):  # a driver that fails ends the samples, not the training
            self._measure()  # the load of the processor is that since the last call in this thread
            has_ended = False
            while not has_ended:
                has_ended = self._ended.wait(self._interval)
                self._samples.put((int(time.time() * 1000), self._measure()))

    def _measure(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= {f"{PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        return values


def _monitors() -> list[Any]:
    """List MLflow's monitors that work here; none without psutil."""
    monitors = []
    for name in ("CPU", "Disk", "Network", "GPU", "ROCM"):
        with suppress(Exception):  # no psutil, no network, no such GPU, or its library is not installed
            module = importlib.import_module(f"mlflow.system_metrics.metrics.{name.lower()}_monitor")
            monitors.append(getattr(module, f"{name}Monitor")())
    return monitors
