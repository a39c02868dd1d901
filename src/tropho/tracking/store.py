"""The MLflow store: its address, its client and the set-up of its sqlite database."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tropho.files import temporary_folder
from tropho.paths import home_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
PENDING = ".mlflow_pending"
_ENVIRONMENT = {
    # By MLflow's defaults a dead server costs many minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def tracking_uri(root: Path) -> str:
    """Get MLFLOW_TRACKING_URI, or the address of the repository's mlflow.db if it is not set."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{home_of(root) / 'mlflow.db'}"


def pending_folder(root: Path) -> Path:
    """Get the folder of `PendingRecords`."""
    return home_of(root) / PENDING


def artifact_location(root: Path, uri: str) -> str | None:
    """Get the artifact folder of new experiments: beside the sqlite store, else the server's choice (None)."""
    return (home_of(root) / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None


def connect(uri: str) -> "MlflowClient":
    """Open a client of a store; a new sqlite store is set up first, which takes about 3 seconds."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.store.db import utils
    from mlflow.tracking import MlflowClient

    utils.MAX_RETRY_COUNT = 3  # the default, 10 with doubled waits, takes 100 seconds
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # the tracker reports failures
    if uri.startswith(SQLITE):
        ensure_database(Path(uri.removeprefix(SQLITE)))
    return MlflowClient(uri)


@contextlib.contextmanager
def unless_there() -> Iterator[None]:
    """Let it pass that what the block creates is there already, as by a faster process."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def ensure_database(path: Path) -> None:
    """Set up MLflow's tables beside `path` and rename the database when it is complete.

    A database whose set-up was killed is replaced if it has no runs.
    """
    if path.exists() and not _is_incomplete(path):
        return
    with temporary_folder(path) as folder:
        new = folder / path.name
        _create_database(new)
        if path.exists() and _is_incomplete(path):
            path.unlink()
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(new, path)


def _create_database(path: Path) -> None:
    """Create the tables and the default experiment, as MLflow does when a store is first opened."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"{SQLITE}{path}", (path.parent / "artifacts").as_uri()).engine.dispose()


def _is_incomplete(path: Path) -> bool:
    """Tell whether a database lacks some of MLflow's tables and has no runs."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "runs" in tables and database.execute("SELECT 1 FROM runs").fetchone():
                return False
            if not {"alembic_version", "experiments"} <= tables:
                return True
            revisions = database.execute("SELECT version_num FROM alembic_version").fetchall()
            has_experiment = database.execute("SELECT 1 FROM experiments").fetchone()
            return revisions != [(_get_latest_schema_revision(),)] or not has_experiment
    except sqlite3.DatabaseError:  # another kind of file, or one that a process is writing
        return False
