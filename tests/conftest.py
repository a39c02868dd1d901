"""Fixtures that every test may use."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from project import Case, Project, case_maker
from tropho.config import load_params, task_settings, with_overrides
from tropho.settings import TaskSettings

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def settings() -> Callable[..., TaskSettings]:
    """Settings of a task in params.yaml with dotted keys changed: settings("smear_demo", **{"train.epochs": 1})."""
    params = load_params(ROOT / "params.yaml")

    def make(task: str, **overrides: Any) -> TaskSettings:
        return with_overrides(task_settings(task, params), overrides)

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that may stand beside the checkout; the test is skipped where it does not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data (../shared/data) is not beside this checkout")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded random generator."""
    return np.random.default_rng(0)


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Makes contexts in which no file can grow beyond 4,096 bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def full() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A scratch project in which `tropho` commands run."""
    return Project(tmp_path)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Makes projects of the reports in ../shared/cases: project, task = case("01")."""
    return case_maker(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let results name the fault that a test plants: `make reliability` reads it from pytest's JUnit file."""
    for item in items:
        for mark in item.iter_markers("fault"):
            item.user_properties.append(("fault", " -> ".join(mark.args)))


GROUPS = {"tests/pipeline/test_class_projects.py": "class_projects", "tests/pipeline/": "pipeline"}
"""Beginnings of test ids -> the worker's group: these tests share checkouts that take a minute to build."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests of a group to one worker, and every other test to whichever worker is free.

    xdist's own marks for this (`xdist_group`, `--dist loadgroup`) have no effect under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((group for start, group in GROUPS.items() if nodeid.startswith(start)), nodeid)

    return GroupScheduling(config, log)
