"""Fixtures that every test may use."""

import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import psutil
import pytest
from accelerate.state import AcceleratorState

from data.sources.hub_server import LoopbackHub
from hf_checkpoints import write_checkpoint
from project import Case, Project, case_maker
from task_files import smear_paths  # noqa: F401 - a fixture
from tropho.config.load import load_params, task_settings, with_overrides
from tropho.config.task_config import TaskConfig
from tropho.tracking import store

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("tropho", deadline=None)
hypothesis.settings.load_profile("tropho")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Let Ctrl-C reach the tests' programs: a shell starts a background command, and all below it, without."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_precision() -> None:
    """Forget the precision of the tests before, which accelerate keeps for every later accelerator of the process."""
    AcceleratorState._reset_state(reset_partial_state=False)


@pytest.fixture(scope="session", autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail the run if a process that its tests started is still there at its end, and name its command line."""
    mark = {"STARTED_BY_TESTS": uuid.uuid4().hex}  # inherited, also by processes whose parent has ended
    os.environ.update(mark)
    yield
    started = [process for process in psutil.process_iter() if _is_started_here(process, mark)]
    _, alive = psutil.wait_procs(started, timeout=5)  # what is just ending may end
    left = []
    for process in alive:
        with suppress(psutil.Error):
            test = process.environ().get("PYTEST_CURRENT_TEST", "a forked process")
            left.append(f"{process.pid}: {' '.join(process.cmdline())} ({test})")
    assert not left, "Processes that tests started and did not stop:\n" + "\n".join(left)


def _is_started_here(process: psutil.Process, mark: dict[str, str]) -> bool:
    """Whether a test has started the process; multiprocessing's resource tracker ends with the worker by itself."""
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        is_ours = process.ppid() == os.getpid() or mark.items() <= process.environ().items()
        return is_ours and "multiprocessing.resource_tracker" not in " ".join(process.cmdline())
    except psutil.Error:  # it has ended, or belongs to somebody else
        return False


@pytest.fixture(scope="session", autouse=True)
def one_mlflow_set_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let MLflow create an empty database once; a test that needs a new one gets a copy, in a hundredth of the time."""
    create, template = store._create_database, tmp_path_factory.mktemp("mlflow") / "mlflow.db"

    def copy(path: Path) -> None:
        if not template.exists():
            create(template)
        shutil.copyfile(template, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_create_database", copy)
        yield


@pytest.fixture(scope="session")
def settings() -> Callable[..., TaskConfig]:
    """Settings of a task in params.yaml with dotted keys changed: settings("smear_demo", **{"train.epochs": 1})."""
    params = load_params(ROOT / "params.yaml")

    def make(task: str, **overrides: Any) -> TaskConfig:
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
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A running hub that HF_ENDPOINT points to, with an empty cache and no token."""
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub_cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folder of a small checkpoint, written once: checkpoints("rt_detr"); options of `write_checkpoint`."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def find(architecture: str, **options: Any) -> Path:
        name = "-".join([architecture, *(f"{key}-{value}" for key, value in options.items())])
        if not (folder / name).exists():
            write_checkpoint(folder / name, architecture, **options)
        return folder / name

    return find


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
    """Begin with the pipeline, whose files take longest; name the fault that a test plants, for `make reliability`."""
    items.sort(key=lambda item: item.get_closest_marker("pipeline") is None)
    for item in items:
        for mark in item.iter_markers("fault"):
            item.user_properties.append(("fault", " -> ".join(mark.args)))
