"""Records sent to MLflow, whether they were made just now or by a process that did not reach it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tropho.errors import DataError, ExternalError
from tropho.tracking.pending_records import Record
from tropho.tracking.run_names import KIND, NOTE, name_runs
from tropho.tracking.runs import RECORD_ID
from tropho.tracking.store import unless_there

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

BATCH_PARAMS = 100
BATCH_METRICS = 800  # MLflow's limits for one call: 100 params, 100 tags, 1000 entries in all
KEPT_BELOW = "*Words below this line stay when a stage writes the description again.*"
MAX_NOTE = 7000  # characters of a description
REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}
"""MLflow's error codes for a call that it will never accept."""


@dataclass
class _OpenRun:
    id: str
    experiment_id: str
    params: set[str]
    metrics: dict[str, tuple[int, float]]
    """Key -> last step and value when the run was opened."""
    was_finished: bool
    start: int
    """Milliseconds since 1970."""
    ended: bool = False


class Recorder:
    """Sends records in order; sending one again changes nothing.

    Args:
        client: of the store.
        artifacts: artifact folder of new experiments; None leaves it to the server.
        is_replay: the records are of a process that has ended.
    """

    def __init__(self, client: "MlflowClient", artifacts: str | None, is_replay: bool = False) -> None:
        self._client = client
        self._artifacts = artifacts
        self._is_replay = is_replay
        self._runs: dict[str, _OpenRun] = {}

    def id_of(self, key: str) -> str:
        """Get MLflow's id of a run, or its key while MLflow does not have it."""
        return self._runs[key].id if key in self._runs else key

    def apply(self, record: Record) -> None:
        """Send a record.

        Args:
            record: as a `Run` makes it. `run` is the run's key, `do` the name of the method below that sends it.

        Raises:
            ExternalError: the run can't be opened.
            MlflowException, OSError: MLflow refused the record or can't be reached; see `is_outage`.
            DataError: the file to record is gone.
        """
        key = record["run"]
        if record["do"] == "open":
            if key not in self._runs or self._runs[key].ended:
                try:
                    self._runs[key] = self._open(record)
                except (KeyError, TypeError):  # a record of another version of Tropho
                    raise
                except Exception as error:
                    raise ExternalError(str(error)) from error
            return
        if "path" in record and not Path(record["path"]).exists():
            raise DataError(f"{record['path']} is gone")
        getattr(self, f"_{record['do']}")(self._runs[key], record)

    def end_killed(self, time: int) -> None:
        """End the runs whose process was killed before it ended them."""
        for key, run in self._runs.items():
            if not run.ended:
                self.apply({"do": "end", "run": key, "status": "KILLED", "time": time})

    def _end(self, run: _OpenRun, record: Record) -> None:
        self._client.set_terminated(run.id, "FINISHED" if run.was_finished else record["status"], record["time"])
        run.ended = True

    def _name(self, run: _OpenRun, record: Record) -> None:
        self._client.update_run(run.id, name=record["name"])

    def _note(self, run: _OpenRun, record: Record) -> None:
        """Replace the description down to KEPT_BELOW; one without that line is the user's own and stays."""
        old = self._client.get_run(run.id).data.tags.get(NOTE, KEPT_BELOW)
        if KEPT_BELOW in old:
            own_words = old.partition(KEPT_BELOW)[2]
            self._client.set_tag(run.id, NOTE, f"{record['text'][:MAX_NOTE]}\n\n{KEPT_BELOW}{own_words}")

    def _names(self, run: _OpenRun, record: Record) -> None:
        name_runs(self._client, run.experiment_id, record["text"])

    def _data(self, run: _OpenRun, record: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        where, profile = json.dumps({"uri": record["source"]}), json.dumps(record["counts"])
        data_set = Dataset(record["name"], record["digest"], "local", where, profile=profile)
        self._client.log_inputs(run.id, [DatasetInput(data_set, [InputTag("mlflow.data.context", record["context"])])])

    def _artifact(self, run: _OpenRun, record: Record) -> None:
        send = self._client.log_artifacts if Path(record["path"]).is_dir() else self._client.log_artifact
        send(run.id, record["path"], record["folder"])

    def _model(self, run: _OpenRun, record: Record) -> None:
        from tropho.tracking.register_model import register

        ids = run.experiment_id, run.id
        register(self._client, ids, Path(record["path"]), record["name"], record["alias"], record["content"])

    def _open(self, record: Record) -> _OpenRun:
        client = self._client
        experiment_id = _experiment(client, record["experiment"], self._artifacts)
        parent = self._parent(experiment_id, record["parent"]) if record["parent"] is not None else None
        names = {"attributes.run_id": record["run_id"], f"tags.{RECORD_ID}": record["run"]}
        runs = (_find_run(client, experiment_id, f"{key} = '{value}'") for key, value in names.items() if value)
        entity = next(filter(None, runs), None) or _child_by_name(client, experiment_id, parent, record["name"])
        was_finished = record.get("was_finished", False)
        if entity is None:
            tags = {**record["tags"], RECORD_ID: record["run"]}
            if parent is not None:
                tags["mlflow.parentRunId"] = parent
            entity = client.create_run(experiment_id, record["time"], tags, record["name"])
        else:
            was_finished = was_finished or entity.info.status == "FINISHED"
            record["was_finished"] = was_finished  # for a later process, should this one not reach MLflow again
            if not self._is_replay:
                _end_killed_children(client, entity)
            client.update_run(entity.info.run_id, status="RUNNING")
        metrics = {metric.key: (metric.step, metric.value) for metric in entity.data._metric_objs}
        ids = entity.info.run_id, entity.info.experiment_id
        return _OpenRun(*ids, set(entity.data.params), metrics, was_finished, entity.info.start_time)

    def _parent(self, experiment_id: str, key: str) -> str:
        """Get MLflow's id of a parent by its id or key."""
        if key in self._runs:
            return self._runs[key].id
        run = _find_run(self._client, experiment_id, f"tags.{RECORD_ID} = '{key}'")
        return run.info.run_id if run is not None else key

    def _log(self, run: _OpenRun, record: Record) -> None:
        """Send tags, and the params and metrics that the run lacks, in batches that MLflow accepts."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(*entry) for entry in record.get("params", []) if entry[0] not in run.params]
        metrics = [Metric(*entry) for entry in record.get("metrics", []) if not _has_metric(run, *entry)]
        tags = [RunTag(*entry) for entry in record.get("tags", [])]
        while params or metrics or tags:
            few = params[:BATCH_PARAMS], tags[:BATCH_PARAMS]
            self._client.log_batch(run.id, metrics[:BATCH_METRICS], *few, synchronous=True)
            run.params |= {param.key for param in params[:BATCH_PARAMS]}
            del metrics[:BATCH_METRICS], params[:BATCH_PARAMS], tags[:BATCH_PARAMS]

    def _samples(self, run: _OpenRun, record: Record) -> None:
        """Send samples of the machine's load; a step is a second of the run."""
        steps = [(time, max(0, time - run.start) // 1000, values) for time, values in record["samples"]]
        metrics = [(name, value, time, step) for time, step, values in steps for name, value in values.items()]
        self._log(run, {"metrics": metrics})


def is_outage(error: Exception) -> bool:
    """Tell whether a call failed for a reason that passes: no server, a locked or damaged database, a full disk."""
    import sqlalchemy.exc as sql
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        # MLflow gives any database error the code BAD_REQUEST.
        is_refused = isinstance(error.__cause__, sql.DataError | sql.IntegrityError)
        return error.error_code not in REFUSALS and not is_refused
    return isinstance(error, OSError | sql.SQLAlchemyError | ExternalError)


def _has_metric(run: _OpenRun, key: str, value: float, _time: int, step: int) -> bool:
    """Tell whether a reopened run has a number: one of the epoch or later, or an equal one without epoch (step 0)."""
    last = run.metrics.get(key)
    return last is not None and (step <= last[0] if step else last == (0, value))


def _find_run(client: "MlflowClient", experiment_id: str, query: str) -> "MlflowEntity | None":
    """Find a run that is not deleted."""
    runs = client.search_runs([experiment_id], query, max_results=1)
    return runs[0] if runs else None


def _child_by_name(client: "MlflowClient", experiment_id: str, parent: str | None, name: str) -> "MlflowEntity | None":
    """Find the run that a killed process began under `parent`; settings and score may follow its name."""
    if parent is None:
        return None
    plain = name.replace("'", "")  # no name of Tropho's has quotes
    query = f"tags.`mlflow.parentRunId` = '{parent}' and attributes.run_name LIKE '{plain}%'"
    runs = client.search_runs([experiment_id], query)
    return next((run for run in runs if re.split(r": | \(", run.info.run_name or "")[0] == name), None)


def _end_killed_children(client: "MlflowClient", parent: "MlflowEntity") -> None:
    """End the running trials or folds of a killed process; one that is resumed is opened again."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and attributes.status = 'RUNNING'"
    for child in client.search_runs([parent.info.experiment_id], query):
        client.set_terminated(child.info.run_id, "KILLED")


def _experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    """Get the id of an experiment, which is created or restored if need be, and has the tags KIND."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        with unless_there():
            client.create_experiment(name, artifacts, KIND)
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
    if experiment.lifecycle_stage != "active":
        client.restore_experiment(experiment.experiment_id)
    for key, value in KIND.items():
        if key not in experiment.tags:  # of an earlier version
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)
