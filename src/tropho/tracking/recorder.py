"""Records lines with MLflow, whether they were written just now or by a process that did not reach it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tropho.errors import DataError, ExternalError
from tropho.tracking.pending_records import Line

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

RECORD_ID = "record_id"
"""Tag of a run: the key under which Tropho began it, by which a repeated line finds it instead of making another."""
BATCH_PARAMS = 100
BATCH_METRICS = 800
"""MLflow's limits for one call: 100 params, 100 tags, 1000 entries in all."""


@dataclass
class _OpenRun:
    id: str
    experiment_id: str
    params: set[str]
    metrics: dict[str, tuple[int, float]]
    """Key -> the last step and value that the run had when it was opened."""
    was_finished: bool
    ended: bool = False


class Recorder:
    """Record lines in the order in which they come; recording one again changes nothing."""

    def __init__(self, client: "MlflowClient", artifacts: str | None, is_replay: bool = False) -> None:
        """Args: client of the store, where a new experiment keeps files, whether the lines are of a process gone."""
        self._client = client
        self._artifacts = artifacts
        self._is_replay = is_replay
        self._runs: dict[str, _OpenRun] = {}

    def id_of(self, key: str) -> str:
        """Give MLflow's id of a run, or its key while MLflow does not have it."""
        return self._runs[key].id if key in self._runs else key

    def was_finished(self, key: str) -> bool:
        """Tell whether a run had finished before it was opened here."""
        return key in self._runs and self._runs[key].was_finished

    def apply(self, line: Line) -> None:
        """Record a line.

        Args:
            line: `do` is one of
                open: name, experiment, parent and run_id (ids or keys, or None), tags, time, was_finished;
                log: params and tags ([name, value] each), metrics ([name, value, time, step] each);
                artifact: path, folder;
                model: path, name, alias, content;
                end: status, time. Times are in milliseconds since 1970.

        Raises:
            ExternalError: the run can't be opened.
            MlflowException, OSError: MLflow refused the line, or can't be reached; guard.is_outage tells which.
            DataError: the file to record is gone.
        """
        key = line["run"]
        if line["do"] == "open":
            if key not in self._runs or self._runs[key].ended:
                try:
                    self._runs[key] = self._open(line)
                except (KeyError, TypeError):  # a line of another version of Tropho
                    raise
                except Exception as error:
                    raise ExternalError(str(error)) from error
            return
        run = self._runs[key]
        if line["do"] == "log":
            self._log(run, line)
        elif line["do"] == "end":
            self._client.set_terminated(run.id, "FINISHED" if run.was_finished else line["status"], line["time"])
            run.ended = True
        elif not Path(line["path"]).exists():
            raise DataError(f"{line['path']} is gone")
        elif line["do"] == "artifact":
            send = self._client.log_artifacts if Path(line["path"]).is_dir() else self._client.log_artifact
            send(run.id, line["path"], line["folder"])
        else:
            from tropho.tracking.register_model import register

            of_run = run.experiment_id, run.id
            register(self._client, of_run, Path(line["path"]), line["name"], line["alias"], line["content"])

    def end_killed(self, time: int) -> None:
        """End the runs whose process was killed before it ended them."""
        for key, run in self._runs.items():
            if not run.ended:
                self.apply({"do": "end", "run": key, "status": "KILLED", "time": time})

    def _open(self, line: Line) -> _OpenRun:
        client = self._client
        experiment_id = _experiment(client, line["experiment"], self._artifacts)
        parent = self._parent(experiment_id, line["parent"]) if line["parent"] is not None else None
        entity = _existing(client, line["run_id"]) or _begun(client, experiment_id, line["run"])
        entity = entity or _child_of(client, experiment_id, parent, line["name"])
        was_finished = line.get("was_finished", False)
        if entity is None:
            tags = {**line["tags"], RECORD_ID: line["run"]}
            if parent is not None:
                tags["mlflow.parentRunId"] = parent
            entity = client.create_run(experiment_id, line["time"], tags, line["name"])
        else:
            was_finished = was_finished or entity.info.status == "FINISHED"
            if not self._is_replay:
                _end_killed_children(client, entity)
            client.update_run(entity.info.run_id, status="RUNNING")
        metrics = {each.key: (each.step, each.value) for each in entity.data._metric_objs}
        return _OpenRun(entity.info.run_id, entity.info.experiment_id, set(entity.data.params), metrics, was_finished)

    def _parent(self, experiment_id: str, key: str) -> str:
        if key in self._runs:
            return self._runs[key].id
        begun = _begun(self._client, experiment_id, key)
        return begun.info.run_id if begun is not None else key

    def _log(self, run: _OpenRun, line: Line) -> None:
        """Record params and metrics that the run has not yet, and tags, in as many calls as it takes."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(*each) for each in line.get("params", []) if each[0] not in run.params]
        metrics = [Metric(*each) for each in line.get("metrics", []) if not _has(run, *each)]
        tags = [RunTag(*each) for each in line.get("tags", [])]
        while params or metrics or tags:
            self._client.log_batch(
                run.id,
                metrics=metrics[:BATCH_METRICS],
                params=params[:BATCH_PARAMS],
                tags=tags[:BATCH_PARAMS],
                synchronous=True,
            )
            run.params |= {each.key for each in params[:BATCH_PARAMS]}
            del metrics[:BATCH_METRICS], params[:BATCH_PARAMS], tags[:BATCH_PARAMS]


def _has(run: _OpenRun, key: str, value: float, _time: int, step: int) -> bool:
    """Tell whether a re-opened run has a number already: that of an epoch, or an equal one without (step 0)."""
    last = run.metrics.get(key)
    return last is not None and (step <= last[0] if step else last == (0, value))


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


def _begun(client: "MlflowClient", experiment_id: str, key: str) -> "MlflowEntity | None":
    """The run that was begun under a key, if there is one."""
    found = client.search_runs([experiment_id], f"tags.{RECORD_ID} = '{key}'", max_results=1)
    return found[0] if found else None


def _child_of(client: "MlflowClient", experiment_id: str, parent: str | None, name: str) -> "MlflowEntity | None":
    """The run of that name which a killed process began under `parent`, if there is one."""
    if parent is None:
        return None
    quoted = name.replace("'", "")  # no name of Tropho's has quotes
    wanted = f"tags.`mlflow.parentRunId` = '{parent}' and attributes.run_name = '{quoted}'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    return found[0] if found else None


def _end_killed_children(client: "MlflowClient", parent: "MlflowEntity") -> None:
    """End trials and folds that ran when their process was killed; a fold that goes on is opened again."""
    nested = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and attributes.status = 'RUNNING'"
    for child in client.search_runs([parent.info.experiment_id], nested):
        client.set_terminated(child.info.run_id, "KILLED")


def _experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    """The experiment's id; made, or taken out of the bin, if need be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifacts))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)
