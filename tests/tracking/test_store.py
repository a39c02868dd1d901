"""What a store keeps of odd values, and which databases, versions and cells are taken as they are."""

import base64
import logging
import shutil
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tropho.errors import DataError
from tropho.paths import home_of
from tropho.tracking import Tracker, open_tracker, register_model, store, tracking_uri
from tropho.tracking.register_model import CONTENT, register
from tropho.tracking.store import connect, ensure_database

pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.fixture
def quick(fresh_store, monkeypatch):
    """Setting a database up takes seconds, copying one does not."""
    monkeypatch.setattr(store, "_create_database", lambda new: shutil.copy(fresh_store, new))


def test_log_metrics_skips_undefined_numbers(root):
    client = connect(tracking_uri(root))
    before = int(time.time() * 1000)
    with open_tracker(root).run("r", "t") as run:
        run.log_metrics({"nan": float("nan"), "inf": float("inf"), "none": None, "zero": 0.0})
        run.log_metrics({"late": 1.0}, step=0)
    assert client.get_run(run.id).data.metrics == {"zero": 0.0, "late": 1.0}
    (kept,) = client.get_metric_history(run.id, "zero")
    assert kept.step == 0
    assert before <= kept.timestamp <= int(time.time() * 1000) + 1


def test_run_reopened_ends_failed(root):
    client = connect(tracking_uri(root))
    left = client.create_run("0").info.run_id
    with pytest.raises(ValueError, match="later"), open_tracker(root).run("r", "Default", run_id=left):
        raise ValueError("later")
    assert client.get_run(left).info.status == "FAILED"


def content_of(path):
    with sqlite3.connect(path) as database:
        experiments = database.execute("SELECT COUNT(*) FROM experiments").fetchone()[0]
        return experiments, database.execute("SELECT version_num FROM alembic_version").fetchall()


@pytest.mark.parametrize(
    "harm",
    ["DELETE FROM experiments", "DROP TABLE experiments", "DROP TABLE alembic_version", "DROP TABLE runs",
     "UPDATE alembic_version SET version_num = '0584bdc529eb'"],
)  # fmt: skip
@pytest.mark.usefixtures("quick")
def test_ensure_database_replaces_incomplete_tables(root, fresh_store, harm):
    path = root / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute(harm)
    database.close()
    before = path.stat().st_ino
    ensure_database(path)
    assert content_of(path) == content_of(fresh_store)
    assert content_of(path)[0] == 1
    assert (path.stat().st_ino == before) == (harm == "DROP TABLE runs")


def test_ensure_database_leaves_a_complete_database(root):
    before = (root / "mlflow.db").stat().st_ino
    ensure_database(root / "mlflow.db")
    assert (root / "mlflow.db").stat().st_ino == before


@pytest.mark.parametrize("half", [False, True])
def test_ensure_database_keeps_that_of_a_faster_process(tmp_path, fresh_store, monkeypatch, half):
    path = tmp_path / "mlflow.db"
    if half:
        path.write_bytes(b"")

    def slowly(new):
        shutil.copy(fresh_store, new)
        path.unlink(missing_ok=True)
        shutil.copy(fresh_store, path)
        with sqlite3.connect(path) as database:
            database.execute("INSERT INTO experiments (experiment_id, name) VALUES (7, 'other')")
        database.close()

    monkeypatch.setattr(store, "_create_database", slowly)
    ensure_database(path)
    assert content_of(path)[0] == 2


def test_home_of_copies_of_experiments(tmp_path):
    copies = (tmp_path / ".dvc" / "tmp" / "exps").resolve()
    assert home_of(copies / "a") == home_of(copies / "a" / "b") == home_of(tmp_path) == tmp_path.resolve()
    assert home_of(copies) == copies  # the folder of the copies is none of them
    assert home_of(tmp_path / "tmp" / "exps" / "a") == (tmp_path / "tmp" / "exps" / "a").resolve()


@pytest.mark.parametrize(
    ("variable", "value", "off"),
    [
        *(("TROPHO_TRACKING", value, True) for value in (" Off ", "0", "no")),
        *(("TROPHO_TRACKING", value, False) for value in ("on", "")),
        *(("RANK", value, off) for value, off in (("1", True), ("0", False))),
    ],
)
def test_open_tracker_switch(tmp_path, monkeypatch, variable, value, off):
    monkeypatch.setenv(variable, value)
    assert (type(open_tracker(tmp_path)) is Tracker) == off


@pytest.mark.parametrize(("asked", "warns"), [(None, False), ("DEBUG", True)])
def test_connect_silences_mlflow(monkeypatch, asked, warns):
    monkeypatch.delenv("MLFLOW_LOGGING_LEVEL", raising=False)
    if asked:
        monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", asked)
    logger = logging.getLogger("mlflow")
    before = logger.level
    try:
        logger.setLevel(logging.INFO)
        connect("http://127.0.0.1:9")
        assert logger.isEnabledFor(logging.WARNING) == warns
    finally:
        logger.setLevel(before)


class Registry:
    """A client that knows some versions of a model and takes aliases."""

    def __init__(self, *versions):
        self.versions = [
            SimpleNamespace(version=str(number), tags={CONTENT: content} if content else {}, status=status)
            for number, content, status in versions
        ]
        self.aliases = {}

    def search_model_versions(self, _):
        return self.versions

    def set_registered_model_alias(self, name, alias, version):
        self.aliases[name, alias] = version


def test_register_reuses_the_newest_ready_version(monkeypatch):
    monkeypatch.setattr(register_model, "_new_version", lambda *_: "new")
    client = Registry(
        (2, "x", "READY"),
        (10, "x", "READY"),
        (11, "x", "PENDING_REGISTRATION"),
        (12, "y", "READY"),
        (13, None, "READY"),
    )
    found = [register(client, ("1", "r"), Path(), "t", None, content) for content in ("x", "y", "z", None)]
    assert found == ["10", "12", "new", "new"]
    assert client.aliases == {}
    assert register(client, ("1", "r"), Path(), "t", "champion", "x") == "10"
    assert client.aliases == {("t", "champion"): "10"}


@pytest.fixture
def file_of():
    """The function alone: the module acts when it is imported."""
    from tropho.inference.mlflow_model import file_of

    return file_of


@pytest.mark.parametrize("length", [4, 300, 4092, 4096, 8000])
def test_file_of_base64_of_any_length(tmp_path, file_of, length):
    cell = "A" * length
    written = file_of(cell, 3, tmp_path)
    assert written == tmp_path / "row_3"
    assert written.read_bytes() == bytes(length // 4 * 3)
    assert file_of(f"data:image/png;base64,{cell}", 4, tmp_path).read_bytes() == bytes(length // 4 * 3)


def test_file_of_paths_and_errors(tmp_path, file_of):
    file = tmp_path / "a.png"
    file.write_bytes(b"x" * 9)
    assert file_of(str(file), 0, tmp_path) == file
    content = base64.b64encode(b"\xff" * 30).decode()
    assert file_of(content, 1, tmp_path).read_bytes() == b"\xff" * 30
    with pytest.raises(DataError, match="Row 2: 'image' is neither a file here nor base64: 'no such file'"):
        file_of("no such file", 2, tmp_path)
