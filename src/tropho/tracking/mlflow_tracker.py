"""Runs in MLflow, by its client alone: no global run, no global address."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropho.tracking.base import EndedEarlyError, NullRun, Run
from tropho.tracking.guard import Guard
from tropho.tracking.names import MAX_PARAM, MAX_TAG, mlflow_name
from tropho.tracking.provenance import provenance
from tropho.tracking.store import artifact_location, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

BATCH_PARAMS = 100
BATCH_METRICS = 800
"""MLflow's limits for one call: 100 params, 100 tags, 1000 entries in all."""


class MlflowTracker:
    """Keeps runs in the store of the repository at `root`, or at MLFLOW_TRACKING_URI."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uri = tracking_uri(root)
        self._guard = Guard()
        self._client: MlflowClient | None = None

    @contextmanager
    def run(
        self,
        name: str,
        experiment: str,
        parent: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Iterator[Run]:
        """See `Tracker.run`. Where the server can't be reached the run keeps nothing and has no id."""
        run = self._guard.call(lambda: self._open(name, experiment, parent, run_id, tags or {}))
        if run is None:
            yield NullRun()
            return
        try:
            yield run
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            run.close("KILLED")
            raise
        except EndedEarlyError as error:
            run.set_tags({"outcome": error.outcome})
            run.close("FINISHED")
            raise
        except BaseException:
            run.close("FAILED")
            raise
        run.close("FINISHED")

    def _open(
        self, name: str, experiment: str, parent: str | None, run_id: str | None, tags: Mapping[str, Any]
    ) -> "MlflowRun":
        client = self._client = self._client or connect(self._uri)
        entity = reopened = _existing(client, run_id)
        if entity is None:
            start = {**provenance(self._root), **({"mlflow.parentRunId": parent} if parent else {})}
            entity = client.create_run(_experiment(client, experiment, self._root, self._uri), None, start, name)
        else:
            _end_killed_children(client, entity)
            client.update_run(run_id, status="RUNNING")
        run = MlflowRun(self, client, self._guard, entity, experiment, was_finished=_is_finished(reopened))
        run.set_tags(tags)
        return run


class MlflowRun:
    """A run in MLflow; what an absent server misses of params, metrics and tags waits for its return."""

    def __init__(
        self,
        tracker: MlflowTracker,
        client: "MlflowClient",
        guard: Guard,
        entity: "MlflowEntity",
        experiment: str,
        was_finished: bool,
    ) -> None:
        self.id: str | None = entity.info.run_id
        self._tracker = tracker
        self._client = client
        self._guard = guard
        self._experiment = experiment
        self._experiment_id = entity.info.experiment_id
        self._was_finished = was_finished
        self._known = set(entity.data.params)
        self._params: list[Any] = []
        self._metrics: list[Any] = []
        self._tags: list[Any] = []

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `Run.log_params`."""
        from mlflow.entities import Param

        for key, value in params.items():
            name = mlflow_name(key)
            if name not in self._known:
                self._known.add(name)
                self._params.append(Param(name, str(value)[:MAX_PARAM]))
        self._send()

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """See `Run.log_metrics`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics += [
            Metric(mlflow_name(key), float(value), now, step or 0)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]
        self._send()

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """See `Run.set_tags`."""
        from mlflow.entities import RunTag

        self._tags += [
            RunTag(mlflow_name(key), str(value)[:MAX_TAG]) for key, value in tags.items() if value is not None
        ]
        self._send()

    def log_figure(self, figure: Any, name: str) -> None:
        """See `Run.log_figure`."""
        self._guard.call(lambda: self._client.log_figure(self.id, figure, mlflow_name(name)))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """See `Run.log_artifact`."""
        send = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        self._guard.call(lambda: send(self.id, str(path), folder))

    def child(
        self, name: str, run_id: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[Run]:
        """See `Run.child`."""
        return self._tracker.run(name, self._experiment, self.id, run_id, tags)

    def log_model(self, folder: Path, name: str, alias: str | None = None, content: str | None = None) -> str | None:
        """See `Run.log_model`."""
        from tropho.tracking.registry import register

        of_run = self._experiment_id, str(self.id)
        return self._guard.call(lambda: register(self._client, of_run, folder, name, alias, content))

    def close(self, status: str) -> None:
        """End the run; one that had finished before is finished again."""
        self._send()
        end = "FINISHED" if self._was_finished else status
        self._guard.call(lambda: self._client.set_terminated(self.id, end))

    def _send(self) -> None:
        """Send what waits, a full call at a time; what the server refuses is dropped, not tried again."""
        while (self._params or self._metrics or self._tags) and self._guard.open:
            params, metrics = self._params[:BATCH_PARAMS], self._metrics[:BATCH_METRICS]
            tags = self._tags[:BATCH_PARAMS]
            self._guard.call(
                partial(
                    self._client.log_batch,
                    self.id,
                    metrics=metrics,
                    params=params,
                    tags=tags,
                    synchronous=True,
                )
            )
            if not self._guard.open:
                return
            del self._params[: len(params)], self._metrics[: len(metrics)], self._tags[: len(tags)]


def _existing(client: "MlflowClient", run_id: str | None) -> "MlflowEntity | None":
    """The run of that id unless it is gone or in the bin."""
    if run_id is None:
        return None
    from mlflow.exceptions import MlflowException

    try:
        entity = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return entity if entity.info.lifecycle_stage == "active" else None


def _end_killed_children(client: "MlflowClient", parent: "MlflowEntity") -> None:
    """End trials and folds that ran when their process was killed; a fold that goes on is opened again."""
    nested = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and attributes.status = 'RUNNING'"
    for child in client.search_runs([parent.info.experiment_id], nested):
        client.set_terminated(child.info.run_id, "KILLED")


def _is_finished(entity: "MlflowEntity | None") -> bool:
    return entity is not None and entity.info.status == "FINISHED"


def _experiment(client: "MlflowClient", name: str, root: Path, uri: str) -> str:
    """The experiment's id; made, or taken out of the bin, if need be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location(root, uri))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id
