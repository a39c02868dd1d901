"""A tracker and its runs as stages use them; these record nothing."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SWITCH = "TROPHO_TRACKING"


@dataclass(frozen=True)
class DataSet:
    """Images that a run uses.

    Attributes:
        name: such as "bccd training".
        digest: hash of images and labels, at most 36 characters.
        context: training, validation or test.
        source: path of the table, relative to the repository.
        counts: numbers of images, groups, and labels or boxes by class.
    """

    name: str
    digest: str
    context: str
    source: str
    counts: Mapping[str, int]


class PrunedRunError(Exception):
    """Base of errors that end a run as planned: FINISHED, with the tag `outcome`."""

    outcome: str


class Run:
    """A tracked run. No method raises because of the tracking server."""

    @property
    def id(self) -> str | None:
        """Id that reopens the run: MLflow's, or a key while MLflow can't be reached; None without tracking."""
        return None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings by flat dotted name; those that the run has already stay as they are."""

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """Record numbers but None, NaN and infinity; `step` is the epoch, from 1.

        A reopened run records no epoch again that it has, and no equal number without an epoch.
        """

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Record a file, or all files of a folder, below `folder` of the run's artifacts."""

    def log_data_set(self, data_set: DataSet) -> None:
        """Record images that the run uses; once a name and digest."""

    def system_metrics(self) -> AbstractContextManager[None]:
        """Record the machine's load during a `with` block, as metrics `system/...`."""
        return nullcontext()

    def rename(self, name: str) -> None:
        """Give the run another name, such as one with its score."""

    def write_note(self, text: str) -> None:
        """Describe the run in Markdown; what a user has written below an earlier description stays."""

    def name_trainings(self, description: str) -> None:
        """Name all trainings of the experiment by what sets them apart, and describe the experiment."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or replace tags but those of value None."""

    def child(
        self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> AbstractContextManager["Run"]:
        """Open a run nested under this one, as `Tracker.run`."""
        return nullcontext(DummyRun())

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> None:
        """Register a folder that `load_ensemble` reads as a version of a model.

        Args:
            folder: holds ensemble.json and the models that it names.
            name: of the registered model; the task's.
            alias: moves to the version; such as `champion`.
            content: a hash; a version that has it is used instead of a new one.
        """


class Tracker:
    """Opens runs."""

    def record_pending(self) -> None:
        """Record what earlier runs could not, if MLflow can be reached."""

    def run(
        self,
        name: str,
        experiment: str,
        parent: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> AbstractContextManager[Run]:
        """Open a run for a `with` block; it ends FINISHED, FAILED on an error or KILLED on an interrupt.

        Reopening a run marks nested runs that a killed process left RUNNING as KILLED.

        Args:
            name: shown in lists.
            experiment: the task's name.
            parent: id of the run to nest under; its child of the same name is reopened.
            run_id: of the run to reopen; a new one if it is gone. A run that was FINISHED ends so again.
            tags: set at once.
        """
        return nullcontext(DummyRun())


class DummyRun(Run):
    """Run that records nothing."""


class DummyTracker(Tracker):
    """Tracker that records nothing."""


def open_tracker(root: Path) -> Tracker:
    """Open the tracker of the repository at `root`; a dummy if TROPHO_TRACKING is `off`.

    Of several processes that train together only the first records. MLflow is loaded by the first run.
    """
    is_off = os.environ.get(SWITCH, "").strip().lower() in {"off", "0", "false", "no"}
    if is_off or os.environ.get("RANK", "0") != "0":
        return DummyTracker()
    from tropho.tracking.mlflow_run import MlflowTracker

    return MlflowTracker(root)
