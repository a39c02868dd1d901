"""Training runs ranked by score."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tropho.errors import ExternalError
from tropho.tracking.recorder import RECORD_ID
from tropho.tracking.store import connect, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

COLUMNS = {
    "task": "string",
    "run": "string",
    "id": "string",
    "record_id": "string",
    "score": "float64",
    "score_name": "string",
    "epochs": "Int64",
    "seconds": "float64",
    "started": "datetime64[ms, UTC]",
    "status": "string",
    "git_commit": "string",
    "validation_hash": "string",
    "validated_on": "string",
    "trained_folds": "Int64",
    "parameters": "object",
}


def best_runs(root: Path, task: str | None = None) -> pd.DataFrame:
    """Runs of `train` that have a metric `score`, best first within each task; folds and trials don't count.

    A run counts if it has no parent and its tag `stage`, where it has one, is `train`.

    Returns:
        COLUMNS: `score_name` from the tag of that name, `epochs` from the param `train.epochs`, `seconds`
        from the metric of that name (empty for a run that has not ended), `validation_hash` from the tag (empty for a
        run that has not been evaluated), `validated_on` from the tag of that name (empty for a run of an earlier
        version): scores compare where it is equal; `record_id` is what run.json
        calls a run that began while MLflow was away; `trained_folds` is how many folds the run itself trained, and
        `parameters` its settings as text, by dotted key. Empty if nothing was tracked here yet.

    Raises:
        ExternalError: the tracking server can't be read.
    """
    uri = tracking_uri(root)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return _table([])
    try:
        client = connect(uri)
        rows = []
        for name, experiment_id in _experiments(client, task):
            runs = [run for run in _scored(client, experiment_id) if _is_training(run)]
            rows += [_row(name, run) for run in runs]
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ExternalError(f"The tracking store {uri} can't be read: {reason}.") from error
    return _table(rows)


def _experiments(client: "MlflowClient", task: str | None) -> list[tuple[str, str]]:
    if task is not None:
        found = client.get_experiment_by_name(task)
        return [(found.name, found.experiment_id)] if found else []
    pages = _pages(lambda token: client.search_experiments(page_token=token))
    return [(each.name, each.experiment_id) for each in pages]


def _scored(client: "MlflowClient", experiment_id: str) -> list["MlflowEntity"]:
    # A comparison that any number passes: MLflow has no test for the presence of a metric.
    return _pages(lambda token: client.search_runs([experiment_id], "metrics.score > -1.0e300", page_token=token))


def _is_training(run: "MlflowEntity") -> bool:
    tags = run.data.tags
    return "mlflow.parentRunId" not in tags and tags.get("stage", "train") == "train"


def _pages(fetch: Any) -> list[Any]:
    page = fetch(None)
    entries = list(page)
    while page.token:
        page = fetch(page.token)
        entries += page
    return entries


def _row(task: str, run: "MlflowEntity") -> dict[str, Any]:
    info, tags = run.info, run.data.tags
    epochs = run.data.params.get("train.epochs", "")
    return {
        "task": task,
        "run": info.run_name,
        "id": info.run_id,
        "record_id": tags.get(RECORD_ID),
        "score": run.data.metrics["score"],
        "score_name": tags.get("score_name"),
        "epochs": int(epochs) if epochs.isdigit() else pd.NA,
        "seconds": run.data.metrics.get("seconds", float("nan")),
        "started": pd.Timestamp(info.start_time, unit="ms", tz="UTC"),
        "status": info.status,
        "git_commit": tags.get("git_commit"),
        "validation_hash": tags.get("validation_hash"),
        "validated_on": tags.get("validated_on"),
        "trained_folds": int(run.data.metrics["trained_folds"]) if "trained_folds" in run.data.metrics else pd.NA,
        "parameters": run.data.params,
    }


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["task", "score"], ascending=[True, False], ignore_index=True)
