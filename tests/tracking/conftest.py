"""A tracking store that is set up once, and projects with a copy of it."""

import shutil

import pytest

from tropho.tracking import tracking_uri
from tropho.tracking.store import connect


@pytest.fixture
def own_environment(monkeypatch):
    """No variable of the environment names a store or turns tracking off."""
    for name in ("MLFLOW_TRACKING_URI", "TROPHO_TRACKING", "RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory):
    """A store without runs; setting one up takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def root(tmp_path, fresh_store):
    """A project whose store has no runs."""
    shutil.copy(fresh_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def client(root):
    """A client of the store of `root`."""
    return connect(tracking_uri(root))
