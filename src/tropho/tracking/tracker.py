"""A tracker and its runs as stages use them: a run makes records of what it is given, and its tracker takes them."""

import math
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tropho.tracking.pending_records import Record
from tropho.tracking.system_metrics import SystemSampler

SWITCH = "TROPHO_TRACKING"
MAX_NAME, MAX_PARAM, MAX_TAG = 250, 6000, 8000  # MLflow's limits, characters
_REFUSED = re.compile(r"[^\w\-./ :]", re.ASCII)


class PrunedRunError(Exception):
    """Base of errors that end a run as planned: FINISHED, with the tag `outcome`."""

    outcome: str


class Tracker:
    """Opens runs and takes their records; this one records nothing."""

    def record(self, record: Record) -> None:
        """Take a record of a run, see `Recorder.apply`; never raises."""

    def record_pending(self) -> None:
        """Record what earlier runs could not, if MLflow can be reached."""

    def id_of(self, key: str) -> str | None:
        """Get the id that reopens a run by its key."""
        return None

    @contextmanager
    def run(
        self,
        name: str,
        experiment: str,
        parent: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Iterator["Run"]:
        """Open a run for a `with` block; it ends FINISHED, FAILED on an error or KILLED on an interrupt.

        Reopening a run marks nested runs that a killed process left RUNNING as KILLED.

        Args:
            name: shown in lists.
            experiment: the task's name.
            parent: id of the run to nest under; its child of the same name is reopened.
            run_id: of the run to reopen; a new one if it is gone. A run that was FINISHED ends so again.
            tags: set at once.
        """
        run = Run(self, run_id or uuid.uuid4().hex, experiment)
        run.record("open", name=name, experiment=experiment, parent=parent, run_id=run_id, time=milliseconds())
        run.set_tags(tags or {})
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            status = "KILLED"
            raise
        except PrunedRunError as error:
            run.set_tags({"outcome": error.outcome})
            status = "FINISHED"
            raise
        finally:
            run.record("end", status=status, time=milliseconds())


class Run:
    """A tracked run. No method raises because of the tracking server."""

    def __init__(self, tracker: Tracker | None = None, key: str = "", experiment: str = "") -> None:
        self._tracker = tracker or Tracker()
        self._key = key
        self._experiment = experiment
        self._sampler: SystemSampler | None = None

    @property
    def id(self) -> str | None:
        """Id that reopens the run: MLflow's, or a key while MLflow can't be reached; None without tracking."""
        return self._tracker.id_of(self._key)

    def record(self, do: str, **values: Any) -> None:
        """Record something of this run; see `Recorder.apply`."""
        self._tracker.record({"do": do, "run": self._key, **values})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings by flat dotted name; those that the run has already stay as they are."""
        self._log("params", [(mlflow_name(key), str(value)[:MAX_PARAM]) for key, value in params.items()])

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """Record numbers but None, NaN and infinity; `step` is the epoch, from 1.

        A reopened run records no epoch again that it has, and no equal number without an epoch.
        """
        now = milliseconds()
        finite = {key: value for key, value in metrics.items() if value is not None and math.isfinite(value)}
        self._log("metrics", [(mlflow_name(key), float(value), now, step or 0) for key, value in finite.items()])
        self._log_samples()

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or replace tags but those of value None."""
        given = {key: value for key, value in tags.items() if value is not None}
        self._log("tags", [(mlflow_name(key), str(value)[:MAX_TAG]) for key, value in given.items()])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Record a file, or all files of a folder, below `folder` of the run's artifacts."""
        self.record("artifact", path=str(path), folder=folder)

    def log_data_set(self, data_set: Mapping[str, Any]) -> None:
        """Record images that the run uses, an entry of `data_sets`; once a name and digest."""
        self.record("data", **data_set)

    @contextmanager
    def system_metrics(self) -> Iterator[None]:
        """Record the machine's load during a `with` block, as metrics `system/...`."""
        if self._tracker.id_of(self._key) is None:
            yield
            return
        self._sampler = SystemSampler()
        try:
            yield
        finally:
            self._sampler.stop()
            self._log_samples()
            self._sampler = None

    def rename(self, name: str) -> None:
        """Give the run another name, such as one with its score."""
        self.record("name", name=name[:MAX_NAME])

    def write_note(self, text: str) -> None:
        """Describe the run in Markdown; what a user has written below an earlier description stays."""
        self.record("note", text=text)

    def name_trainings(self, description: str) -> None:
        """Name all trainings of the experiment by what sets them apart, and describe the experiment."""
        self.record("names", text=description)

    def child(
        self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> AbstractContextManager["Run"]:
        """Open a run nested under this one, as `Tracker.run`."""
        return self._tracker.run(name, self._experiment, self.id, run_id, tags)

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> None:
        """Register a folder that `load_ensemble` reads as a version of a model.

        Args:
            folder: holds ensemble.json and the models that it names.
            name: of the registered model; the task's.
            alias: moves to the version; such as `champion`.
            content: a hash; a version that has it is used instead of a new one.
        """
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


def milliseconds() -> int:
    """Get the milliseconds since 1970."""
    return int(time.time() * 1000)


def open_tracker(root: Path) -> Tracker:
    """Open the tracker of the repository at `root`; one that records nothing if TROPHO_TRACKING is `off`.

    Of several processes that train together only the first records. MLflow is loaded by the first run.
    """
    is_off = os.environ.get(SWITCH, "").strip().lower() in {"off", "0", "false", "no"}
    if is_off or os.environ.get("RANK", "0") != "0":
        return Tracker()
    from tropho.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(root)
