"""What a stage may say to a tracker, and the tracker that keeps nothing."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol


class PrunedRunError(Exception):
    """Base of errors that end a run's block as planned: the run is FINISHED, with the tag `outcome`."""

    outcome: str


class Run(Protocol):
    """One tracked run. No method raises because of the tracking server."""

    @property
    def id(self) -> str | None:
        """What re-opens the run later: MLflow's id, or a key while MLflow can't be reached; None without tracking."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep settings under flat dotted names; one that the run has already stays as it was."""

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """Keep numbers, all in one call; undefined ones (None, NaN) are left out. `step` is the epoch, from 1.

        What a re-opened run has of that epoch or a later one, or without an epoch and equal, is not kept twice.
        """

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file, or everything in a folder, below `folder` of the run's artifacts."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or replace tags; None values are left out."""

    def child(
        self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> "AbstractContextManager[Run]":
        """Open a run nested under this one, as `Tracker.run` does."""

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> None:
        """Register a folder that `load_ensemble` reads as a version of the model `name`.

        Args:
            folder: holds ensemble.json and the models that it names.
            name: of the registered model; the task's name.
            alias: such as `champion`; moves to the version.
            content: a hash; a version that has it is taken, instead of a new one.
        """


class Tracker(Protocol):
    """Opens runs."""

    def record_pending(self) -> None:
        """Record what earlier runs could not, if the server can be reached."""

    def run(
        self,
        name: str,
        experiment: str,
        parent: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> AbstractContextManager[Run]:
        """Open a run for a `with` block; it ends FINISHED, FAILED on an error or KILLED on an interrupt.

        Runs nested under a re-opened one that a killed process left RUNNING are marked as KILLED.

        Args:
            name: shown in lists.
            experiment: the task's name.
            parent: id of the run that this one is nested under; one of the same name under it is gone on with.
            run_id: of a run to go on with, whatever its state; a new run if it is gone. One that had
                FINISHED before is FINISHED again after the block, even if the block fails.
            tags: set at once.
        """


class DummyRun:
    """Keeps nothing."""

    id: str | None = None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """Do nothing."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Do nothing."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Do nothing."""

    @contextmanager
    def child(self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None) -> Iterator[Run]:
        """Yield a run that keeps nothing."""
        yield DummyRun()

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> None:
        """Do nothing."""


class DummyTracker:
    """Opens runs that keep nothing, so that callers need not ask whether tracking is on."""

    def record_pending(self) -> None:
        """Do nothing."""

    @contextmanager
    def run(
        self,
        name: str,
        experiment: str,
        parent: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Iterator[Run]:
        """Yield a run that keeps nothing."""
        yield DummyRun()
