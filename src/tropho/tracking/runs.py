"""Tracked runs: training runs ranked by score, and the ids of those that a resumed training reopens."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tropho.errors import DataError, ExternalError
from tropho.files import read_json, write_json
from tropho.tracking.store import SQLITE, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

RECORD_ID = "record_id"
"""Tag of a run: Tropho's key of it, by which a repeated record finds it instead of making another."""
MAX_RESULTS = 50_000
"""Entries that MLflow gives in one answer at most."""
HAS_SCORE = "metrics.score > -1.0e300"
"""Query of the runs with a score; MLflow can't ask whether a metric exists."""
METRICS = {
    **dict.fromkeys(("score", "oof_low", "oof_high", "seconds"), "float64"),
    **dict.fromkeys(("oof_images", "trained_folds"), "Int64"),
}
TAGS = ("record_id", "score_name", "git_commit", "git_dirty", "validation_hash", "validated_on", "dvc_experiment")
COLUMNS = {
    **dict.fromkeys(("task", "run", "id", "experiment_id", "status", *TAGS), "string"),
    **METRICS,
    "epochs": "Int64",
    "started": "datetime64[ms, UTC]",
    "parameters": "object",
}


class RunIds:
    """Ids of the runs that a training records to, kept in a file so that a resumed training reopens them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[str, str] = {}
        with suppress(DataError):  # missing or damaged: new runs are opened
            self._ids = read_json(path)

    def __getitem__(self, key: str) -> str | None:
        return self._ids.get(key)

    def __setitem__(self, key: str, run_id: str | None) -> None:
        if run_id is not None:
            self._ids[key] = run_id
            write_json(self._path, self._ids)


def best_runs(root: Path, task: str | None = None) -> pd.DataFrame:
    """Rank the training runs that have a metric `score`, best first within each task; folds and trials don't count.

    Returns:
        COLUMNS. Values that a run lacks are empty. Scores compare where `validated_on` is equal; `record_id` is what
        run.json calls a run that began while MLflow was away; `parameters` are settings as text, by dotted key. oof_low
        and oof_high are the 95 % interval of the score on all `oof_images` together, once they are evaluated.

    Raises:
        ExternalError: the tracking store can't be read.
    """
    uri = tracking_uri(root)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    try:
        client = connect(uri)
        experiments = client.search_experiments(
            filter_string=f"name = '{task}'" if task else None, max_results=MAX_RESULTS
        )
        rows = [
            _row(experiment.name, run)
            for experiment in experiments
            for run in training_runs(client, experiment.experiment_id)
        ]
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ExternalError(f"The tracking store {uri} can't be read: {reason}.") from error
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["task", "score"], ascending=[True, False], ignore_index=True)


def training_runs(client: "MlflowClient", experiment_id: str) -> list["MlflowEntity"]:
    """List the scored runs of an experiment that are whole trainings: no fold, member, trial or search."""
    runs = client.search_runs([experiment_id], HAS_SCORE, max_results=MAX_RESULTS)
    return [
        run
        for run in runs
        if "mlflow.parentRunId" not in run.data.tags and run.data.tags.get("stage", "train") == "train"
    ]


def _row(task: str, run: "MlflowEntity") -> dict[str, Any]:
    info, metrics, params = run.info, run.data.metrics, run.data.params
    epochs = params.get("train.epochs", "")
    return {
        "task": task,
        "run": info.run_name,
        "id": info.run_id,
        "experiment_id": info.experiment_id,
        **{tag: run.data.tags.get(tag) for tag in TAGS},
        **{name: metrics.get(name, float("nan")) for name in METRICS},
        "epochs": int(epochs) if epochs.isdigit() else pd.NA,
        "started": pd.Timestamp(info.start_time, unit="ms", tz="UTC"),
        "status": info.status,
        "parameters": params,
    }
