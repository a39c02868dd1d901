"""Drawn data: thick-smear photos in the competition's format, or single cells in class folders.

The truth of the test photos is written outside data/raw, so that no stage can train on it.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd

from smear_generator.crops import cells
from smear_generator.field import CAMERAS, Box
from smear_generator.smear import photos, plant_faults, sample_table, shuffled, test_table, truth_table
from tropho.config.data_config import DownloadConfig
from tropho.config.task_config import TaskConfig
from tropho.errors import ExternalError
from tropho.log import track
from tropho.paths import Paths
from tropho.tables import write_table


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Draw a task's data; the same settings give the same bytes.

    Scene "smear" writes Train.csv, Test.csv, SampleSubmission.csv and images/, and the test truth to paths.held_out.
    Scene "cells" writes {train,test}/{Parasitized,Uninfected}/*.png.

    Returns: settings, counts, and for "smear" the planted faults.
    """
    download = settings.download
    used = {"source": "generator", "scene": download.scene, "seed": download.seed, "difficulty": download.difficulty}
    if download.scene == "cells":
        return {**used, "images": {subset: _write_cells(download, subset, to) for subset in ("train", "test")}}
    return {**used, **_write_smear(download, to, Paths(root, settings.name).held_out)}


def _write_smear(download: DownloadConfig, to: Path, truth: Path) -> dict[str, Any]:
    train, test = (_write_photos(download, subset, to / "images") for subset in ("train", "test"))
    table, faults = plant_faults(truth_table(train), download.seed)
    names = pd.DataFrame({"Image_ID": [image_id for image_id, _ in test]})
    ids = list(shuffled(names, download.seed, "test")["Image_ID"])
    test_truth = truth_table(test)
    write_table(shuffled(table, download.seed, "train"), to / "Train.csv")
    write_table(test_table(ids), to / "Test.csv")
    write_table(sample_table(ids), to / "SampleSubmission.csv")
    write_table(test_truth.sort_values("Image_ID", kind="stable"), truth)
    unlabelled = next(camera for camera in CAMERAS if not camera.labels_white_cells)
    return {
        "images": {"train": len(train), "test": len(test)},
        "rows": {"train": _counts(table["class"]), "test": _counts(test_truth["class"])},
        "faults": {**faults, "no_white_cell_labels": [unlabelled.width, unlabelled.height]},
    }


def _write_photos(download: DownloadConfig, subset: str, to: Path) -> list[tuple[str, tuple[Box, ...]]]:
    """Draw the photos of a subset; returns the name and the labelled boxes of each."""
    to.mkdir(exist_ok=True)
    labelled = []
    count = _number_of(download, subset)
    for photo in track(photos(download.seed, count, subset, download.difficulty), f"Drawing {subset} photos", count):
        (to / photo.image_id).write_bytes(photo.jpeg)
        labelled.append((photo.image_id, photo.labelled))
    return labelled


def _write_cells(download: DownloadConfig, subset: str, to: Path) -> dict[str, int]:
    """Draw the cells of a subset; returns the number of each class."""
    labels = []
    count = _number_of(download, subset)
    for cell in track(cells(download.seed, count, subset, download.difficulty), f"Drawing {subset} cells", count):
        path = to / subset / cell.label / cell.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), cv2.cvtColor(cell.picture, cv2.COLOR_RGB2BGR)):
            raise ExternalError(f"{path} can't be written; free some disk space and run it again.")
        labels.append(cell.label)
    return _counts(labels)


def _number_of(download: DownloadConfig, subset: str) -> int:
    return download.test_images if subset == "test" else download.images


def _counts(labels: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(labels).items()))
