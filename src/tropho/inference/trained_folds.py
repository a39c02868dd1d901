"""Read and write trained folds in runs/TASK/FINGERPRINT/, where no command of DVC removes them.

The folder of a model holds config.yaml and its folds; that of a training also run.json and copies of its results.
The folder of a fold holds a checkpoint while it is trained, then fold.json with the SHA-256 of its files.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from tropho.errors import DataError
from tropho.files import atomic_path, copy_file, fingerprint, read_json, sha256_of, write_json
from tropho.log import info
from tropho.paths import Paths
from tropho.tables import GRADIENT, write_table

WEIGHTS, HISTORY = "weights.safetensors", "history.csv"
FILES = (WEIGHTS, HISTORY)
"""Files of a trained fold whose SHA-256 its record holds."""
RECORD = "fold.json"


def write_fold(folder: Path, weights: bytes, history: pd.DataFrame) -> None:
    """Write the files of a trained fold; call `publish_fold` afterwards.

    Args:
        folder: runs/TASK/FINGERPRINT/foldN.
        weights: content of weights.safetensors.
        history: one row an epoch.
    """
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(weights)
    write_table(history, folder / HISTORY)


def publish_fold(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write fold.json: the fold's record of run.json with "sha256" of its files by name; return that record."""
    record = {**record, "sha256": {file: sha256_of(folder / file) for file in FILES}}
    write_json(folder / RECORD, {**record, "checksum": fingerprint(record)})
    return record


def published_fold(folder: Path, log_layer_stats: bool) -> dict[str, Any] | None:
    """Read the record of a trained fold; None where there is none or it can't be used.

    Args:
        folder: runs/TASK/FINGERPRINT/foldN.
        log_layer_stats: whether its history must have the columns of train.log_layer_stats.
    """
    if not (folder / RECORD).exists():
        return None
    try:
        record = dict(read_json(folder / RECORD))
    except DataError:
        record = {}
    damaged = [RECORD] if record.pop("checksum", "") != fingerprint(record) else damaged_files(folder, record)
    if damaged:
        info(f"{folder / damaged[0]} is missing or damaged; this fold is trained again.")
        return None
    return record if not log_layer_stats or _has_layers(folder / HISTORY) else None


def _has_layers(history: Path) -> bool:
    return any(column.startswith(GRADIENT) for column in pd.read_csv(history, nrows=0).columns)


def damaged_files(folder: Path, record: dict[str, Any]) -> list[str]:
    """List the files of a trained fold that are missing or differ from the SHA-256 in its record."""
    digests = record.get("sha256", {})
    return [
        file for file in FILES if not (folder / file).is_file() or sha256_of(folder / file) != digests.get(file, "")
    ]


@contextmanager
def locked_runs(folders: Iterable[Path]) -> Iterator[None]:
    """Lock the folders of models, so that parallel experiments don't train the same one twice."""
    with ExitStack() as stack:
        for folder in sorted(set(folders)):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                info(f"{folder} is being trained by another process; waiting for it.")
                lock.acquire()
            stack.callback(lock.release)
        yield


def copy_results(paths: Paths, files: dict[str, Path]) -> None:
    """Copy result files, by name, to the folder of the present training in runs/; do nothing without run.json."""
    try:
        training = str(read_json(paths.models / "run.json")["training"])
    except DataError:
        return
    for name, source in files.items():
        with atomic_path(paths.runs / training / name) as temporary:
            copy_file(source, temporary)
