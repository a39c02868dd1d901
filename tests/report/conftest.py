"""Fixtures of the report."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stage_outputs import classification_dataset, write_data, write_results, write_runs
from tropho.config.task_config import TaskConfig
from tropho.paths import Paths
from tropho.report.reader import Reader

CELLS = "cells_demo"


@pytest.fixture(autouse=True)
def low_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw coarsely, which is fast."""
    monkeypatch.setattr("tropho.plots.style.DPI", 40)


@pytest.fixture
def cells_reader(tmp_path: Path, settings: Callable[..., TaskConfig]) -> Reader:
    """Reader of everything that the stages write for a small classification task."""
    task = settings(CELLS, **{"train.lr": 0.0021})
    dataset = classification_dataset(tmp_path / "raw", 12, np.random.default_rng(0), ["a", "b"])
    write_data(tmp_path, CELLS, dataset)
    write_runs(tmp_path, CELLS, dataset, json.loads(task.model_dump_json()))
    write_results(tmp_path, CELLS, dataset, "balanced_accuracy", 0.8)
    return Reader(task, Paths(tmp_path, CELLS))
