"""Data sets on the Hugging Face Hub: image folders, archives, parquet tables, and parquet copies of script sets."""

import io
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import SPLITS, is_annotation, is_archive, unpack_archives
from tropho.errors import DataError, UsageError
from tropho.files import copy_file
from tropho.hub import CARD, HubRepo
from tropho.images.file_types import FORMATS_BY_ENDING, is_image_name
from tropho.log import track

LABEL_NAMES = ("label", "labels", "class", "target", "category")
BATCH_ROWS = 64  # of a parquet table that are in memory
NOT_DATA = {"dataset_infos.json", "dataset_info.json", "requirements.txt"}
_ENDINGS = {name: ending for ending, names in reversed(FORMATS_BY_ENDING.items()) for name in sorted(names)}
"""Ending by Pillow's name of the format."""


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Fetch `download.repo` at `download.revision`; bytes, names and folders stay as published.

    Archives are unpacked in place. Images in parquet tables become SPLIT/CLASS/file.

    Raises:
        ExternalError: the Hub can't be reached or refuses.
        UsageError: the repository has several configs and `download.config` names none of them.
        DataError: it holds no known data, or it is damaged.
    """
    download = settings.download
    assert download.repo is not None, "download.repo is required for source huggingface"
    hub = HubRepo(download.repo, download.revision)
    files = hub.files()
    tables = [path for path in files if path.endswith(".parquet")]
    has_images = any(is_image_name(path) and "/" in path for path in files)
    if tables and (download.config or not has_images):
        card = hub.download([CARD])
        key = f"tasks.{settings.name}.download.config"
        record = _write_tables(hub, choose_tables(tables, download.config, _configs_in(card), key), to, card)
    else:
        record = _write_files(hub, files, to)
    pinned = {"revision": hub.revision, "commit": hub.commit, "config": download.config}
    return {"source": "huggingface", "repo": download.repo, **pinned, **record}


def choose_tables(tables: list[str], config: str | None, card: dict[str, Any], key: str) -> dict[str, str]:
    """Choose the parquet tables (paths in the repository) of a config, and the split of each: path -> split.

    `card` has the patterns of each config's files. A config that it doesn't list is a folder; of None the only one, or
    the one called `default`. The split is what the card says, else that of the folder (`full/train/0000.parquet`) or
    the file name (`data/train-00000-of-00002.parquet`). `key` is the setting that names the config, for messages.
    """
    folders = {path.split("/")[0] for path in tables if path.count("/") >= 2}
    configs = sorted(card) or sorted(folders - {"data"})
    if config is None and len(configs) > 1 and "default" not in configs:
        raise UsageError(f"{key}: choose one of {', '.join(configs)}.")
    name = config or ("default" if "default" in configs else (configs or [""])[0])
    if by_pattern := _tables_of_patterns(tables, card.get(name) or []):
        return by_pattern
    inside = [path for path in tables if path.startswith(f"{name}/")]
    if config and not inside:
        raise UsageError(f"{key} is '{config}'; the data set has {', '.join(configs) or 'no configs: write null'}.")
    return {path: split_of(path) for path in inside or tables}


def split_of(path: str) -> str:
    """Return the split that a table's path names; `train` if it names none."""
    place = PurePosixPath(path)
    folder = place.parent.name.removeprefix("partial-")
    if folder.lower() in SPLITS or (place.stem.isdigit() and folder):
        return folder
    name = re.sub(r"-\d+-of-\d+.*$", "", place.stem)
    is_shard = name != place.stem
    return name if is_shard or name.lower() in SPLITS else "train"


def _tables_of_patterns(tables: list[str], data_files: Any) -> dict[str, str]:
    """Resolve a card's `data_files`: a pattern, a list of patterns, or a list of {split, path}."""
    splits: dict[str, str] = {}
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        fields = entry if isinstance(entry, dict) else {"path": entry}
        patterns = fields.get("path", [])
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            matches = [path for path in tables if fnmatchcase(path, pattern.replace("**/", "*"))]
            splits |= {path: fields.get("split") or split_of(path) for path in matches}
    return splits


def _configs_in(card: Path) -> dict[str, Any]:
    """Read the `data_files` of each config from the header of the data set's read-me; empty without one."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        fields = metadata_load(card / CARD) if (card / CARD).is_file() else None
    except (ValueError, yaml.YAMLError):
        fields = None
    configs = (fields or {}).get("configs") or []
    return {config["config_name"]: config.get("data_files") for config in configs if "config_name" in config}


def _write_tables(hub: HubRepo, splits: dict[str, str], to: Path, card: Path) -> dict[str, Any]:
    literal = [re.sub(r"([*?[])", r"[\1]", path) for path in splits]  # patterns that match these paths alone
    folder = hub.download(literal)
    images, quarantined = write_images({path: (folder / path, split) for path, split in splits.items()}, to, card)
    if not images:
        raise DataError(f"No image of '{hub.repo}' could be written: {quarantined[0]['reason']}.")
    is_partial = any("/partial-" in f"/{path}" for path in splits)  # the Hub converts the first gigabytes only
    return {"layout": "parquet", "partial": is_partial, "images": images, "quarantined": quarantined}


def _write_files(hub: HubRepo, files: list[str], to: Path) -> dict[str, Any]:
    wanted = [path for path in files if is_image_name(path) or is_archive(path)]
    if not wanted:
        raise DataError(f"'{hub.repo}' holds no images, archives (.zip, .tar, .tar.gz) or parquet tables.")
    wanted += [path for path in files if is_annotation(path) and PurePosixPath(path).name not in NOT_DATA]
    folder = hub.download(sorted({f"*{PurePosixPath(path).suffix}" for path in wanted}))
    for path in track(wanted, "Placing files"):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        copy_file(folder / path, to / path)
    archives = unpack_archives(to, hub.repo)
    n_files = sum(path.is_file() for path in to.rglob("*"))
    return {"layout": "as published", "files": n_files, "archives": archives}


def write_images(tables: dict[str, tuple[Path, str]], to: Path, card: Path) -> tuple[int, list[dict[str, Any]]]:
    """Write every image of the tables (name in the repository -> file, split) below the folder `to`.

    `card` is a folder that may hold the data set's README.md, which names the classes if the tables do not. Returns the
    number of images, and rows without a readable image or class: {file, row (1-based), reason}.
    """
    import pyarrow.parquet as pq

    n_images = 0
    quarantined: list[dict[str, Any]] = []
    for name, (path, split) in tables.items():
        try:
            table = pq.ParquetFile(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise DataError(f"{name} is no readable parquet file ({' '.join(str(error).split())}).") from error
        image_column, label_column, names = columns_of(table.schema_arrow, name, card)
        batches = table.iter_batches(batch_size=BATCH_ROWS, columns=[image_column, label_column])
        records = (record for batch in batches for record in batch.to_pylist())
        for row, record in enumerate(track(records, f"Writing {name}", table.metadata.num_rows), 1):
            label = _class_of(record[label_column], names)
            reason = f"the row has no class ({label_column} is {json.dumps(record[label_column])})"
            if label is not None:
                reason = _write_image(record[image_column] or {}, row, to / split / label)
                n_images += not reason
            if reason:
                quarantined.append({"file": name, "row": row, "reason": reason})
    return n_images, quarantined


def columns_of(schema: Any, name: str, card: Path) -> tuple[str, str, list[str] | None]:
    """Find the image and label columns by the features that `datasets` notes in the table or the card.

    Returns them, and the classes that numbers stand for; None if labels are text.
    """
    import datasets
    from datasets.info import DatasetInfosDict

    features: dict[str, Any] = dict(datasets.Features.from_arrow_schema(schema))
    images = [
        key
        for key, kind in features.items()
        if isinstance(kind, datasets.Image) or (isinstance(kind, dict) and {"bytes", "path"} <= set(kind))
    ]
    if not images:
        raise DataError(f"{name} has no image column among {', '.join(features)}; is it another config's table?")
    image = "image" if "image" in images else images[0]
    if not any(isinstance(kind, datasets.ClassLabel) for kind in features.values()):
        infos = DatasetInfosDict.from_directory(str(card)).values()
        noted: dict[str, Any] = next((info.features for info in infos if info.features), {})
        features |= {key: kind for key, kind in noted.items() if key in features}
    numbered = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    if numbered:
        label = next((key for key in LABEL_NAMES if key in numbered), numbered[0])
        return image, label, list(features[label].names)
    for label in LABEL_NAMES:
        if getattr(features.get(label), "dtype", None) in ("string", "large_string"):
            return image, label, None
    raise DataError(f"{name} does not name its classes; its columns are {', '.join(features)}.")


def _class_of(value: Any, names: list[str] | None) -> str | None:
    """Return the class's name, fit for a folder; None if there is no label (the Hub writes -1 for hidden ones)."""
    if names is not None and isinstance(value, int):
        value = names[value] if 0 <= value < len(names) else None
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip().replace("/", "_").replace("\\", "_").lstrip(".") or None


def _write_image(image: dict[str, Any], row: int, folder: Path) -> str:
    """Write one image; returns why it can't be written, empty if it was."""
    content = image.get("bytes")
    if not content:
        return "the row has no image bytes"
    name = PurePosixPath((image.get("path") or "").replace("\\", "/")).name
    if not is_image_name(name):
        suffix = suffix_of(content)
        if suffix is None:
            return "the bytes are no image's"
        name = f"{name or f'{row:06d}'}{suffix}"
    target, number = folder / name, 1
    while target.exists():  # another image of the class has the same name
        number += 1
        target = folder / f"{PurePosixPath(name).stem}-{number}{PurePosixPath(name).suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return ""


def suffix_of(content: bytes) -> str | None:
    """Return the file name ending of an image by its first bytes; None if they are no known image's."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _ENDINGS.get(image.format or "")
    except (UnidentifiedImageError, ValueError, OSError):
        return None
