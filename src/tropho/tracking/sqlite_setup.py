"""MLflow's sqlite database, set up whole or not at all."""

import contextlib
import os
import sqlite3
from pathlib import Path

from tropho.files import temporary_folder


def ensure_database(path: Path) -> None:
    """Set up MLflow's tables in a new database beside `path`, and give it that name once it is whole.

    A set-up that was killed halfway, as earlier versions of Tropho left it, is replaced if it has no runs.
    """
    if path.exists() and not _is_half_made(path):
        return
    with temporary_folder(path) as folder:
        new = folder / path.name
        _create(new)
        if path.exists() and _is_half_made(path):
            path.unlink()
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(new, path)


def _create(path: Path) -> None:
    """Create the tables and the default experiment, which MLflow does when a store is first opened."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{path}", (path.parent / "artifacts").as_uri())
    store.engine.dispose()


def _is_half_made(path: Path) -> bool:
    """Tell whether a database lacks some of MLflow's tables and has no runs."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "runs" in tables and database.execute("SELECT COUNT(*) FROM runs").fetchone()[0]:
                return False
            if "alembic_version" not in tables or "experiments" not in tables:
                return True
            revisions = {revision for (revision,) in database.execute("SELECT version_num FROM alembic_version")}
            empty = database.execute("SELECT COUNT(*) FROM experiments").fetchone()[0] == 0
            return empty or revisions != {_get_latest_schema_revision()}
    except sqlite3.DatabaseError:  # another kind of file, or one that a process is writing: not ours to replace
        return False
