"""Where runs are kept, and how MLflow is started without noise or long waits."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tropho.paths import home_of
from tropho.tracking.pending_records import FOLDER
from tropho.tracking.tracker import DummyTracker, Tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SWITCH = "TROPHO_TRACKING"
SQLITE = "sqlite:///"

_ENVIRONMENT = {
    # MLflow's own values make a dead server cost many minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def open_tracker(root: Path) -> Tracker:
    """The tracker of the repository at `root`; the null tracker where TROPHO_TRACKING is `off`.

    Of several processes that train together (torchrun, `accelerate launch`) the first alone keeps records.
    Nothing is imported, created or connected to before the first run is opened.
    """
    switched_off = os.environ.get(SWITCH, "").strip().lower() in {"off", "0", "false", "no"}
    if switched_off or os.environ.get("RANK", "0") != "0":
        return DummyTracker()
    from tropho.tracking.mlflow_run import MlflowTracker

    return MlflowTracker(root)


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else the sqlite file mlflow.db of the repository."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home_of(root) / 'mlflow.db'}"


def pending_folder(root: Path) -> Path:
    """Folder of what MLflow could not record yet; see `pending.Pending`."""
    return home_of(root) / FOLDER


def artifact_location(root: Path, uri: str) -> str | None:
    """Where a new experiment keeps files: beside the sqlite store, else where the server decides (None)."""
    return (home_of(root) / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None


def connect(uri: str) -> "MlflowClient":
    """A client of the store at `uri`; a new sqlite store is set up, which takes some 3 seconds once."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.store.db import utils
    from mlflow.tracking import MlflowClient

    # Ten attempts, each with twice the wait, keep a caller of a dead database for 100 seconds.
    utils.MAX_RETRY_COUNT = 3
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # a CircuitBreaker tells of failures, once
    if uri.startswith(SQLITE):
        from tropho.tracking.sqlite_setup import ensure_database

        ensure_database(Path(uri.removeprefix(SQLITE)))
    return MlflowClient(uri)
