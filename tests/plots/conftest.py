"""Fixtures of plots."""

from pathlib import Path

import numpy as np
import pytest

from stage_outputs import Dataset, classification_dataset, detection_dataset


@pytest.fixture(autouse=True)
def low_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw coarsely, which is fast."""
    monkeypatch.setattr("tropho.plots.style.DPI", 40)


@pytest.fixture
def detections(tmp_path: Path, rng: np.random.Generator) -> Dataset:
    """Twelve photos with two classes."""
    return detection_dataset(tmp_path / "raw", 12, rng, ["Trophozoite", "WBC"])


@pytest.fixture
def cells(tmp_path: Path, rng: np.random.Generator) -> Dataset:
    """Forty cells of two classes."""
    return classification_dataset(tmp_path / "raw", 40, rng, ["Parasitized", "Uninfected"])
