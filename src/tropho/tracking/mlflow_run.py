"""Runs in MLflow, by its client alone: no global run, no global address."""

import math
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tropho.log import info
from tropho.tracking.circuit_breaker import CircuitBreaker, is_outage
from tropho.tracking.mlflow_names import MAX_PARAM, MAX_TAG, mlflow_name
from tropho.tracking.pending_records import Line, Pending
from tropho.tracking.provenance import provenance
from tropho.tracking.recorder import Recorder
from tropho.tracking.store import artifact_location, connect, pending_folder, tracking_uri
from tropho.tracking.tracker import PrunedRunError, Run


class MlflowTracker:
    """Keeps runs in the store of the repository at `root`, or at MLFLOW_TRACKING_URI.

    Each thing to record is a line, which goes to MLflow at once. While MLflow can't be reached, the lines go into a
    file below `pending_folder(root)`, and from there to MLflow before anything else: within the same process when
    MLflow is back, or else by the next process that reaches it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uri = tracking_uri(root)
        self._artifacts = artifact_location(root, self._uri)
        self._breaker = CircuitBreaker()
        self._recorder: Recorder | None = None
        self._pending = Pending(pending_folder(root))
        self._waiting: list[Line] = []
        self._opened: dict[str, Line] = {}
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
        """See `Tracker.run`."""
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

    def record(self, line: Line) -> None:
        """Record a line with MLflow, or keep it until that is possible; never raises."""
        if line["do"] == "open":
            self._opened[line["run"]] = line
        self._waiting.append(line)
        self._breaker.call(self._send)
        try:
            while self._waiting:
                self._keep(self._waiting[0])
                del self._waiting[0]
        except OSError as error:  # the next line tries again
            self._breaker.warn("and the disk take no records", error, "the work goes on")

    def record_pending(self) -> None:
        """Record what earlier runs could not."""
        self._breaker.call(self._send)

    def id_of(self, key: str) -> str:
        """Give MLflow's id of a run, or its key while MLflow does not have it."""
        return self._recorder.id_of(key) if self._recorder else key

    def _send(self) -> None:
        """Send what was left by others, what is kept, and what waits; raise where MLflow can't be reached."""
        if self._recorder is None:
            client = connect(self._uri)
            for pending in Pending.left_by_others(pending_folder(self._root)):
                self._replay(pending, Recorder(client, self._artifacts, is_replay=True))
            self._recorder = Recorder(client, self._artifacts)
        for line in self._pending.lines():
            self._apply(self._recorder, line)
        self._pending.remove()
        while self._waiting:
            self._apply(self._recorder, self._waiting[0])
            del self._waiting[0]

    def _replay(self, pending: Pending, recorder: Recorder) -> None:
        lines = pending.lines()
        for line in lines:
            self._apply(recorder, line)
        recorder.end_killed(max((line["time"] for line in lines if "time" in line), default=_now()))
        pending.remove()
        names = sorted({line["name"] for line in lines if line["do"] == "open"})
        info(f"Recorded with MLflow what it had missed of: {', '.join(names)}.")

    def _apply(self, recorder: Recorder, line: Line) -> None:
        """Record a line; what MLflow refuses for good is left out."""
        try:
            recorder.apply(line)
        except Exception as error:  # whatever happens to a record must not happen to the work
            if is_outage(error):
                raise
            self._breaker.warn("does not record this run in full", error, "the work goes on")

    def _keep(self, line: Line) -> None:
        """Append a line to the file, after the one that opens its run."""
        key = line["run"]
        if key not in self._pending.runs and line["do"] != "open":
            was_finished = self._recorder is not None and self._recorder.was_finished(key)
            self._pending.append({**self._opened[key], "was_finished": was_finished})
        self._pending.append(line)


@contextmanager
def _ended(run: "MlflowRun") -> Iterator[None]:
    """End a run with the status that its block's end gives it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        run.record("end", status="KILLED", time=_now())
        raise
    except PrunedRunError as error:
        run.set_tags({"outcome": error.outcome})
        run.record("end", status="FINISHED", time=_now())
        raise
    except BaseException:
        run.record("end", status="FAILED", time=_now())
        raise
    run.record("end", status="FINISHED", time=_now())


class MlflowRun:
    """A run in MLflow, or one that MLflow gets later."""

    def __init__(self, tracker: MlflowTracker, key: str, experiment: str) -> None:
        self._tracker = tracker
        self._key = key
        self._experiment = experiment

    @property
    def id(self) -> str:
        """See `Run.id`."""
        return self._tracker.id_of(self._key)

    def record(self, do: str, **values: Any) -> None:
        """Record a line of this run; see `Recorder.apply`."""
        self._tracker.record({"do": do, "run": self._key, **values})

    def _log(self, what: str, entries: list[Any]) -> None:
        if entries:
            self.record("log", **{what: entries})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `Run.log_params`."""
        self._log("params", [(mlflow_name(key), str(value)[:MAX_PARAM]) for key, value in params.items()])

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """See `Run.log_metrics`."""
        now = _now()
        finite = {key: value for key, value in metrics.items() if value is not None and math.isfinite(value)}
        entries = [(mlflow_name(key), float(value), now, step or 0) for key, value in finite.items()]
        self._log("metrics", entries)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """See `Run.set_tags`."""
        given = {key: value for key, value in tags.items() if value is not None}
        self._log("tags", [(mlflow_name(key), str(value)[:MAX_TAG]) for key, value in given.items()])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """See `Run.log_artifact`."""
        self.record("artifact", path=str(path), folder=folder)

    def child(
        self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[Run]:
        """See `Run.child`."""
        return self._tracker.run(name, self._experiment, self.id, run_id, tags)

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> None:
        """See `Run.log_model`."""
        self.record("model", path=str(folder), name=name, alias=alias, content=content)


def _now() -> int:
    """Milliseconds since 1970, as MLflow counts time."""
    return int(time.time() * 1000)
