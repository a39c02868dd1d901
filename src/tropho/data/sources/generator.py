"""The embedded data: thick-smear photos in the competition's format, or single cells in class folders.

The truth of the test photos is written outside data/raw, so that no stage can train on it.
"""

import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pandas as pd

from smear_generator.annotations import plant_faults, sample_table, shuffled, test_table, truth_table
from smear_generator.crops import cells
from smear_generator.field import CAMERAS, Box
from smear_generator.smear import Photo, photos
from tropho.config.data_config import DownloadConfig
from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import unpack
from tropho.data.sources.download_progress import progress_bar
from tropho.errors import ExternalError
from tropho.files import atomic_path

Labelled = list[tuple[str, tuple[Box, ...]]]
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in the archive, so that the same seed gives the same bytes


def held_out(task: str, root: Path) -> Path:
    """Where the truth of a generated task's test photos is kept."""
    return root / "data" / "held_out" / task / "Truth.csv"


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Draw a task's data into the empty folder `to`; the same settings give the same bytes.

    Scene "smear" writes Train.csv, Test.csv, SampleSubmission.csv and images/, and the test truth to
    `held_out`; scene "cells" writes {train,test}/{Parasitized,Uninfected}/*.png.

    Returns:
        Settings used, counts, and for "smear" the planted faults.

    Raises:
        ExternalError: if the disk does not take a file.
    """
    download = settings.download
    drawn = _smear(download, to, held_out(settings.name, root)) if download.scene == "smear" else _cells(download, to)
    return {
        "source": "generator",
        "scene": download.scene,
        "seed": download.seed,
        "difficulty": download.difficulty,
        **drawn,
    }


def _smear(download: DownloadConfig, to: Path, truth: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=to) as temporary:
        archive = Path(temporary) / "images.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as images:
            train = _pack(download, "train", images)
            test = _pack(download, "test", images)
        unpack(archive, to / "images")
    table, faults = plant_faults(truth_table(train), download.seed)
    ids = shuffled(pd.DataFrame({"Image_ID": [image_id for image_id, _ in test]}), download.seed, "test")
    held_back = truth_table(test)
    _write_csv(shuffled(table, download.seed, "train"), to / "Train.csv")
    _write_csv(test_table(list(ids["Image_ID"])), to / "Test.csv")
    _write_csv(sample_table(list(ids["Image_ID"])), to / "SampleSubmission.csv")
    _write_csv(held_back.sort_values("Image_ID", kind="stable"), truth)
    unlabelled = next(camera for camera in CAMERAS if not camera.labels_white_cells)
    return {
        "images": {"train": len(train), "test": len(test)},
        "rows": {"train": _counts(table["class"]), "test": _counts(held_back["class"])},
        "faults": {**faults, "no_white_cell_labels": [unlabelled.width, unlabelled.height]},
    }


def _pack(download: DownloadConfig, subset: str, images: zipfile.ZipFile) -> Labelled:
    """Draw a subset into the open archive; return the labels of each photo."""
    labelled: Labelled = []
    for photo in _watched(download, subset):
        images.writestr(zipfile.ZipInfo(photo.image_id, EPOCH), photo.jpeg)
        labelled.append((photo.image_id, photo.labelled))
    return labelled


def _watched(download: DownloadConfig, subset: str) -> Iterator[Photo]:
    count = _count(download, subset)
    with progress_bar(f"Drawing {subset} photos", count) as bar:
        for photo in photos(download.seed, count, subset, download.difficulty):
            yield photo
            bar.advance(bar.task_ids[0])


def _cells(download: DownloadConfig, to: Path) -> dict[str, Any]:
    counts = {}
    for subset in ("train", "test"):
        labels = []
        count = _count(download, subset)
        with progress_bar(f"Drawing {subset} cells", count) as bar:
            for cell in cells(download.seed, count, subset, download.difficulty):
                path = to / subset / cell.label / cell.name
                path.parent.mkdir(parents=True, exist_ok=True)
                if not cv2.imwrite(str(path), cv2.cvtColor(cell.picture, cv2.COLOR_RGB2BGR)):
                    raise ExternalError(f"{path} can't be written; free some disk space and run it again.")
                labels.append(cell.label)
                bar.advance(bar.task_ids[0])
        counts[subset] = _counts(pd.Series(labels))
    return {"images": counts}


def _count(download: DownloadConfig, subset: str) -> int:
    return download.test_images if subset == "test" else download.images


def _counts(labels: pd.Series) -> dict[str, int]:
    return dict(sorted(Counter(labels).items()))


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
