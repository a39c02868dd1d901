"""Read and write trained folds in runs/TASK/FINGERPRINT/, where no command of DVC removes them.

The folder of a model holds config.yaml and its folds; that of a training also run.json and copies of its results.
The folder of a fold holds a checkpoint while it is trained, then fold.json with the SHA-256 of its files.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock, Timeout
from pydantic import ValidationError

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import atomic_path, copy_file, fingerprint, read_json, read_yaml, sha256_of, write_json
from tropho.images.decode import Decoding
from tropho.log import info
from tropho.paths import Paths, home_of
from tropho.tables import GRADIENT, write_table
from tropho.tasks import build_task
from tropho.tasks.base import Task

CONFIG = "config.yaml"  # settings, classes and decoding of a trained fold, the same for all folds of a model
WEIGHTS, HISTORY = "weights.safetensors", "history.csv"
FILES = (WEIGHTS, HISTORY)  # files of a trained fold whose SHA-256 its record holds
RECORD = "fold.json"


@dataclass(frozen=True)
class StartWeights:
    """Weights of a trained model, from which another training starts."""

    path: Path  # of the safetensors file
    sha256: str  # of its bytes
    classes: list[str] | None  # in the order of class indices, from the config.yaml beside it; None without one

    def record(self) -> dict[str, Any]:
        """Return what determines a fold's weights, wherever the file lies."""
        return {"sha256": self.sha256, "classes": self.classes}


def config_text(settings: TaskConfig, classes: list[str], decoding: Decoding) -> str:
    """Write the content of a trained fold's config.yaml."""
    config = {"settings": settings.model_dump(), "classes": classes, "decoding": decoding.record()}
    return yaml.safe_dump(config, sort_keys=False)


def read_config(folder: Path, verb: str = "train") -> tuple[Task, Decoding]:
    """Read config.yaml of a fold that was trained or exported: its task, and how files became pixels.

    Raises:
        DataError: the file is missing, or of another version.
    """
    config = read_yaml(folder / CONFIG)
    try:
        settings = TaskConfig.model_validate(config["settings"])
    except ValidationError:
        raise DataError(f"{folder} was {verb}ed by another version of Tropho; {verb} it again.") from None
    # All weights come from the file: there is no need to fetch pretrained ones first.
    task = build_task(with_overrides(settings, {"model.pretrained": False}), config["classes"])
    return task, Decoding.recorded(config.get("decoding", {}))


def find_start_weights(place: str | None, root: Path) -> StartWeights | None:
    """Find the weights that `model.weights` names.

    Args:
        place: a safetensors file, the folder of a trained fold, or that of a model, which stands for its first fold;
            relative to the repository or absolute; None for no weights.
        root: of the repository.

    Raises:
        DataError: there are no weights, or the config.yaml beside them is damaged.
    """
    if place is None:
        return None
    folder = next((base / place for base in (root, home_of(root)) if (base / place).exists()), root / place)
    numbered = {each: each.parent.name.removeprefix("fold") for each in folder.glob(f"fold*/{WEIGHTS}")}
    folds = sorted((each for each in numbered if numbered[each].isdecimal()), key=lambda each: int(numbered[each]))
    files = [file for file in (folder, folder / WEIGHTS, *folds) if file.suffix == ".safetensors" and file.is_file()]
    if not files:
        raise DataError(
            f"model.weights: {folder} holds no trained model; name a .safetensors file, or the folder of a fold or of "
            "a model, such as models/TASK/fold0."
        )
    config = files[0].with_name(CONFIG)
    classes = read_yaml(config).get("classes") if config.exists() else None
    return StartWeights(files[0], sha256_of(files[0]), classes)


def write_fold(folder: Path, weights: bytes, history: pd.DataFrame) -> None:
    """Write the files of a trained fold, its history with one row an epoch; call `publish_fold` afterwards."""
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(weights)
    write_table(history, folder / HISTORY)


def publish_fold(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write fold.json: the fold's record of run.json with "sha256" of its files by name; return that record."""
    record = {**record, "sha256": {file: sha256_of(folder / file) for file in FILES}}
    write_json(folder / RECORD, {**record, "checksum": fingerprint(record)})
    return record


def published_fold(folder: Path, log_layer_stats: bool) -> dict[str, Any] | None:
    """Read the record of a trained fold; None where there is none, it is damaged, or it lacks statistics of layers."""
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
    has_layers = any(column.startswith(GRADIENT) for column in pd.read_csv(folder / HISTORY, nrows=0).columns)
    return record if has_layers or not log_layer_stats else None


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


def mean_history(folders: list[Path]) -> pd.DataFrame:
    """Average the histories of trained folds.

    Returns:
        epoch, score, loss, val_loss, lr; a row an epoch that some fold was validated after, means over folds.
    """
    history = pd.concat([pd.read_csv(folder / HISTORY) for folder in folders])
    scored = history.reindex(columns=["epoch", "score", "loss", "val_loss", "lr"]).dropna(subset="score")
    return scored.groupby("epoch", as_index=False).mean()
