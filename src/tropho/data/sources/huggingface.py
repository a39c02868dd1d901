"""Data sets on the Hugging Face Hub: image folders, archives, parquet tables, and parquet copies of script sets."""

import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import SPLITS, is_annotation, is_archive, unpack_archives
from tropho.data.sources.parquet import write_images
from tropho.errors import DataError, UsageError
from tropho.files import copy_file
from tropho.hub import CARD, HubRepo
from tropho.images.file_types import is_image_name
from tropho.log import track

NOT_DATA = {"dataset_infos.json", "dataset_info.json", "requirements.txt"}


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
        record = _write_tables(hub, choose_tables(tables, download.config, _card_configs(card), key), to, card)
    else:
        record = _write_files(hub, files, to)
    pinned = {"revision": hub.revision, "commit": hub.commit, "config": download.config}
    return {"source": "huggingface", "repo": download.repo, **pinned, **record}


def choose_tables(tables: list[str], config: str | None, card: dict[str, Any], key: str) -> dict[str, str]:
    """Choose the parquet tables (paths in the repository) of a config, and the split of each: path -> split.

    The config is that of this name; of None the only one, or the one called `default`. The split is what the card says
    (config -> `data_files`), else the folder (`full/train/0000.parquet`) or the file name
    (`data/train-00000-of-00002.parquet`). `key` is the setting that names the config, for messages.
    """
    folders = {path.split("/")[0] for path in tables if path.count("/") >= 2}
    known = sorted(card) or sorted(folders - {"data"})
    if config is None and len(known) > 1 and "default" not in known:
        raise UsageError(f"{key}: choose one of {', '.join(known)}.")
    name = config or ("default" if "default" in known else (known or [""])[0])
    by_pattern = _tables_of_card(tables, card.get(name) or [])
    if by_pattern:
        return by_pattern
    inside = [path for path in tables if path.startswith(f"{name}/")] if name in folders else []
    if config and not inside:
        raise UsageError(f"{key} is '{config}'; the data set has {', '.join(known) or 'no configs: write null'}.")
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


def _tables_of_card(tables: list[str], data_files: Any) -> dict[str, str]:
    """Resolve a card's `data_files`: a pattern, a list of patterns, or a list of {split, path}."""
    splits: dict[str, str] = {}
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        fields = entry if isinstance(entry, dict) else {"path": entry}
        patterns = fields.get("path", [])
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            for path in tables:
                if fnmatchcase(path, pattern.replace("**/", "*")):
                    splits[path] = fields.get("split") or split_of(path)
    return splits


def _card_configs(folder: Path) -> dict[str, Any]:
    """Read config name -> data_files from the header of the read-me; empty without one."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        fields = metadata_load(folder / CARD) if (folder / CARD).is_file() else None
    except (ValueError, yaml.YAMLError):
        fields = None
    configs = (fields or {}).get("configs") or []
    return {config["config_name"]: config.get("data_files") for config in configs if "config_name" in config}


def _write_tables(hub: HubRepo, splits: dict[str, str], to: Path, card: Path) -> dict[str, Any]:
    literal = [re.sub(r"([*?[])", r"[\1]", path) for path in splits]  # patterns that match these paths alone
    folder = hub.download(literal)
    counts, quarantined = write_images({path: (folder / path, split) for path, split in splits.items()}, to, card)
    if not counts:
        raise DataError(f"No image of '{hub.repo}' could be written: {quarantined[0]['reason']}.")
    is_partial = any("/partial-" in f"/{path}" for path in splits)  # the Hub converts the first gigabytes only
    return {"layout": "parquet", "partial": is_partial, "splits": _nested(counts), "quarantined": quarantined}


def _write_files(hub: HubRepo, files: list[str], to: Path) -> dict[str, Any]:
    wanted = [path for path in files if is_image_name(path) or is_archive(path) or _is_label_file(path)]
    if not any(is_image_name(path) or is_archive(path) for path in wanted):
        raise DataError(f"'{hub.repo}' holds no images, archives (.zip, .tar, .tar.gz) or parquet tables.")
    folder = hub.download(sorted({f"*{PurePosixPath(path).suffix}" for path in wanted}))
    for path in track(wanted, "Placing files"):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        copy_file(folder / path, to / path)
    archives = unpack_archives(to, hub.repo)
    placed = [path.relative_to(to) for path in to.rglob("*") if path.is_file()]
    counts: Counter[tuple[str, str]] = Counter()
    for parent, *folders in (path.parts[:-1] or ("",) for path in placed if is_image_name(path.name)):
        is_split = parent.lower() in SPLITS
        counts[parent if is_split else "all", "".join(folders[:1]) if is_split else parent] += 1
    return {"layout": "as published", "files": len(placed), "splits": _nested(counts), "archives": archives}


def _is_label_file(path: str) -> bool:
    return is_annotation(path) and PurePosixPath(path).name not in NOT_DATA


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (split, label), count in sorted(counts.items()):
        nested.setdefault(split, {})[label] = count
    return nested
