"""Runs in MLflow, by its client alone: no global run, no global address."""

import math
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tropho.errors import ExternalError
from tropho.log import info
from tropho.tracking.pending_records import PendingRecords, Record
from tropho.tracking.provenance import provenance
from tropho.tracking.recorder import Recorder, is_outage
from tropho.tracking.store import artifact_location, connect, pending_folder, tracking_uri
from tropho.tracking.system_metrics import SystemSampler
from tropho.tracking.tracker import DataSet, PrunedRunError, Run, Tracker

FIRST_PAUSE = 30.0  # seconds without calls after a failure; each further failure in a row doubles them
MAX_NAME, MAX_PARAM, MAX_TAG = 250, 6000, 8000  # MLflow's limits, characters
_REFUSED = re.compile(r"[^\w\-./ :]", re.ASCII)


class CircuitBreaker:
    """Calls MLflow unless it failed just now; warns of the first failure only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._open_until = float("-inf")
        self._warned: set[str] = set()

    def call(self, action: Callable[[], object]) -> None:
        """Run the action unless the breaker is open; any error opens it and is not raised."""
        if self._clock() < self._open_until:
            return
        try:
            action()
        except Exception as error:  # no failure of a record may stop the work
            self._open_until = self._clock() + self._pause
            self._pause *= 2
            cause = error.__cause__ if isinstance(error, ExternalError) else None
            self.warn("can't be reached", cause or error, "what it misses is recorded by the next run that reaches it")
        else:
            self._pause = FIRST_PAUSE

    def warn(self, what: str, error: BaseException, consequence: str) -> None:
        """Print a warning, the first time that `what` happens."""
        if what not in self._warned:
            self._warned.add(what)
            line = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            info(f"Warning: MLflow {what} ({line[:200]}); {consequence}.")


class MlflowTracker(Tracker):
    """Tracker in the store of the repository at `root`, or at MLFLOW_TRACKING_URI.

    Records go to MLflow at once. While it can't be reached they go to a file in `pending_folder(root)`, and from there
    to MLflow as soon as this process, or a later one, reaches it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uri = tracking_uri(root)
        self._artifacts = artifact_location(root, self._uri)
        self._breaker = CircuitBreaker()
        self._recorder: Recorder | None = None
        self._pending = PendingRecords(pending_folder(root))
        self._queue: list[Record] = []
        self._opened: dict[str, Record] = {}
        self._depth = 0

    @contextmanager
    def run(
        self,
        name: str,
        experiment: str,
        parent: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Iterator[Run]:
        run = MlflowRun(self, run_id or uuid.uuid4().hex, experiment)
        self._depth += 1
        try:
            start = {"name": name, "experiment": experiment, "parent": parent, "run_id": run_id}
            run.record("open", **start, tags=provenance(self._root), time=_now())
            run.set_tags(tags or {})
            with _ended(run):
                yield run
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._pending.close()

    def record(self, record: Record) -> None:
        """Send a record to MLflow, or keep it until that is possible; never raises."""
        if record["do"] == "open":
            self._opened[record["run"]] = record
        self._queue.append(record)
        self._breaker.call(self._send)
        try:
            while self._queue:
                self._keep(self._queue[0])
                del self._queue[0]
        except OSError as error:  # the next record tries again
            self._breaker.warn("and the disk take no records", error, "the work goes on")

    def record_pending(self) -> None:
        self._breaker.call(self._send)

    def id_of(self, key: str) -> str:
        """Get MLflow's id of a run, or its key while MLflow does not have it."""
        return self._recorder.id_of(key) if self._recorder else key

    def _send(self) -> None:
        """Send the records of earlier processes, the pending ones and the queue; raises where MLflow is away."""
        if self._recorder is None:
            client = connect(self._uri)
            for pending in PendingRecords.left_by_others(pending_folder(self._root)):
                self._replay(pending, Recorder(client, self._artifacts, is_replay=True))
            self._recorder = Recorder(client, self._artifacts)
        for record in self._pending.read():
            self._apply(self._recorder, record)
        self._pending.remove()
        while self._queue:
            self._apply(self._recorder, self._queue[0])
            del self._queue[0]

    def _replay(self, pending: PendingRecords, recorder: Recorder) -> None:
        records = pending.read()
        for record in records:
            self._apply(recorder, record)
        recorder.end_killed(max((record["time"] for record in records if "time" in record), default=_now()))
        pending.remove()
        names = sorted({record["name"] for record in records if record["do"] == "open"})
        info(f"Recorded with MLflow what it had missed of: {', '.join(names)}.")

    def _apply(self, recorder: Recorder, record: Record) -> None:
        """Send a record; skip one that MLflow will never accept."""
        try:
            recorder.apply(record)
        except Exception as error:  # no failure of a record may stop the work
            if is_outage(error):
                raise
            self._breaker.warn("does not record this run in full", error, "the work goes on")

    def _keep(self, record: Record) -> None:
        """Append a record to the file, after the one that opens its run."""
        key = record["run"]
        if key not in self._pending.runs and record["do"] != "open":
            was_finished = self._recorder is not None and self._recorder.was_finished(key)
            self._pending.append({**self._opened[key], "was_finished": was_finished})
        self._pending.append(record)


@contextmanager
def _ended(run: "MlflowRun") -> Iterator[None]:
    """End a run with the status that the end of its block gives it."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        status = "KILLED"
        raise
    except PrunedRunError as error:
        run.set_tags({"outcome": error.outcome})
        status = "FINISHED"
        raise
    finally:
        run.record("end", status=status, time=_now())


class MlflowRun(Run):
    """A run in MLflow, or one that MLflow gets later."""

    def __init__(self, tracker: MlflowTracker, key: str, experiment: str) -> None:
        self._tracker = tracker
        self._key = key
        self._experiment = experiment
        self._sampler: SystemSampler | None = None

    @property
    def id(self) -> str:
        return self._tracker.id_of(self._key)

    def record(self, do: str, **values: Any) -> None:
        """Record something of this run; see `Recorder.apply`."""
        self._tracker.record({"do": do, "run": self._key, **values})

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._log("params", [(mlflow_name(key), str(value)[:MAX_PARAM]) for key, value in params.items()])

    def log_data_set(self, data_set: DataSet) -> None:
        self.record("data", **asdict(data_set))

    @contextmanager
    def system_metrics(self) -> Iterator[None]:
        self._sampler = SystemSampler()
        self._sampler.start()
        try:
            yield
        finally:
            self._sampler.stop()
            self._log_samples()
            self._sampler = None

    def rename(self, name: str) -> None:
        self.record("name", name=name[:MAX_NAME])

    def write_note(self, text: str) -> None:
        self.record("note", text=text)

    def name_trainings(self, description: str) -> None:
        self.record("names", text=description)

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        now = _now()
        finite = {key: value for key, value in metrics.items() if value is not None and math.isfinite(value)}
        self._log("metrics", [(mlflow_name(key), float(value), now, step or 0) for key, value in finite.items()])
        self._log_samples()

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        given = {key: value for key, value in tags.items() if value is not None}
        self._log("tags", [(mlflow_name(key), str(value)[:MAX_TAG]) for key, value in given.items()])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        self.record("artifact", path=str(path), folder=folder)

    def child(
        self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[Run]:
        return self._tracker.run(name, self._experiment, self.id, run_id, tags)

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> None:
        self.record("model", path=str(folder), name=name, alias=alias, content=content)

    def _log_samples(self) -> None:
        if self._sampler is not None and (samples := self._sampler.take()):
            self.record("samples", samples=samples)

    def _log(self, what: str, entries: list[Any]) -> None:
        if entries:
            self.record("log", **{what: entries})


def mlflow_name(name: str) -> str:
    """Replace characters that MLflow refuses by `_`, and drop `.` and `..` from paths: `mAP@50` -> `mAP_50`."""
    parts = _REFUSED.sub("_", name).strip().split("/")
    parts = [part for part in parts if part and set(part) != {"."}]
    return "/".join(parts)[:MAX_NAME].rstrip("/") or "_"


def _now() -> int:
    """Get the milliseconds since 1970."""
    return int(time.time() * 1000)
