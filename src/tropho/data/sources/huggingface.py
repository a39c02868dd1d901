"""Data sets on the Hugging Face Hub: image folders, archives, parquet, and parquet copies of script sets."""

import re
import shutil
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archive_members import members_of
from tropho.data.sources.archives import is_archive, stem_of, unpack
from tropho.data.sources.copy_files import copy_file
from tropho.data.sources.download_progress import progress_bar
from tropho.data.sources.hub_client import HubDataset
from tropho.data.sources.image_layout import SPLITS, arrange, is_annotation, unwrap
from tropho.data.sources.nested_archives import archives_in, unpack_archives
from tropho.data.sources.parquet import write_images
from tropho.errors import DataError, UsageError
from tropho.images.file_types import is_image_name

CARD = "README.md"
NOT_DATA = {"dataset_infos.json", "dataset_info.json", "requirements.txt"}


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Fetch `download.repo` at `download.revision` into the empty folder `to`, bytes and names as published.

    Images in class folders or parquet tables land as SPLIT/CLASS/file, split names as published. A
    repository that also holds label files (csv, json, xml, txt) is laid out as it is, since those refer to
    its paths; its archives are unpacked where they lie.

    Raises:
        OutsideError: if the Hub can't be reached or refuses.
        UsageError: if the repository has several configs and `download.config` names none of them.
        DataError: if it holds nothing that is known, or something damaged.
    """
    asked = settings.download
    assert asked.repo is not None, "settings.py asks for it"
    hub = HubDataset(asked.repo, asked.revision)
    files = hub.files()
    tables = [path for path in files if path.endswith(".parquet")]
    pictures = [path for path in files if is_image_name(path) and "/" in path]
    if tables and (asked.config or not pictures):
        card = hub.download([CARD])
        chosen = choose_tables(tables, asked.config, _card_configs(card), f"tasks.{settings.name}.download.config")
        found = _write_tables(hub, chosen, to, card)
    else:
        found = _write_files(hub, files, to)
    return {
        "source": "huggingface",
        "repo": asked.repo,
        "revision": hub.revision,
        "commit": hub.commit,
        "config": asked.config,
        **found,
    }


def choose_tables(tables: list[str], config: str | None, card: dict[str, Any], key: str) -> dict[str, str]:
    """The tables of a config and the split of each.

    Args:
        tables: paths of the repository's parquet files.
        config: its name; None for the only one, or the one called `default`.
        card: config name -> its `data_files` as in the read-me's header; may be empty.
        key: the setting that names the config, for the message.

    Returns:
        path -> split, as the card says, else by folder (`full/train/0000.parquet`) or file name
        (`data/train-00000-of-00002.parquet`).
    """
    folders = {path.split("/")[0] for path in tables if path.count("/") >= 2}
    known = sorted(card) or sorted(folders - {"data"})
    if config is None and len(known) > 1 and "default" not in known:
        raise UsageError(f"{key}: choose one of {', '.join(known)}.")
    name = config or ("default" if "default" in known else (known or [""])[0])
    if name in card:
        by_pattern = _tables_of_card(tables, card[name])
        if by_pattern:
            return by_pattern
    inside = [path for path in tables if path.startswith(f"{name}/")] if name in folders else []
    if config and not inside:
        raise UsageError(f"{key} is '{config}'; the data set has {', '.join(known) or 'no configs: write null'}.")
    return {path: split_of(path) for path in inside or tables}


def split_of(path: str) -> str:
    """The split that a table's path names; `train` where it names none."""
    place = PurePosixPath(path)
    folder = place.parent.name.removeprefix("partial-")
    if folder.lower() in SPLITS or (place.stem.isdigit() and folder):
        return folder
    name = re.sub(r"-\d+-of-\d+.*$", "", place.stem)
    shard = name != place.stem
    return name if shard or name.lower() in SPLITS else "train"


def _tables_of_card(tables: list[str], data_files: Any) -> dict[str, str]:
    """Resolve a card's `data_files`: a pattern, a list of patterns, or a list of {split, path}."""
    entries = data_files if isinstance(data_files, list) else [data_files]
    chosen: dict[str, str] = {}
    for entry in entries:
        patterns = entry.get("path", []) if isinstance(entry, dict) else entry
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            for path in tables:
                if fnmatchcase(path, pattern.replace("**/", "*")):
                    chosen[path] = entry["split"] if isinstance(entry, dict) and "split" in entry else split_of(path)
    return chosen


def _card_configs(folder: Path) -> dict[str, Any]:
    """Config name -> data_files, from the header of the read-me, if there is one."""
    import yaml

    card = folder / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    header = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    try:
        fields = yaml.safe_load(header[1]) if header else {}
    except yaml.YAMLError:
        fields = {}
    configs = fields.get("configs") if isinstance(fields, dict) else None
    return {each["config_name"]: each.get("data_files") for each in configs or [] if "config_name" in each}


def _write_tables(hub: HubDataset, chosen: dict[str, str], to: Path, card: Path) -> dict[str, Any]:
    folder = hub.download([_literal(path) for path in chosen])
    written = write_images({path: (folder / path, split) for path, split in chosen.items()}, to, card)
    if not any(written.counts.values()):
        raise DataError(f"No image of '{hub.repo}' could be written: {written.quarantined[0]['reason']}.")
    return {
        "layout": "parquet",
        "partial": any("/partial-" in f"/{path}" for path in chosen),  # the Hub converts the first gigabytes only
        "splits": {split: dict(sorted(counts.items())) for split, counts in sorted(written.counts.items())},
        "quarantined": written.quarantined,
    }


def _literal(path: str) -> str:
    """A pattern that matches this path alone."""
    return re.sub(r"([*?[])", r"[\1]", path)


def _write_files(hub: HubDataset, files: list[str], to: Path) -> dict[str, Any]:
    wanted = [path for path in files if is_image_name(path) or is_archive(path) or _is_label_file(path)]
    if not any(is_image_name(path) or is_archive(path) for path in wanted):
        raise DataError(f"'{hub.repo}' holds no images, archives (.zip, .tar, .tar.gz) or parquet tables.")
    folder = hub.download(sorted({f"*{PurePosixPath(path).suffix}" for path in wanted}))
    if any(_is_label_file(path) or _holds_label_files(folder / path) for path in wanted):
        _place({path: folder / path for path in wanted}, to, to)
        unpacked = archives_in(to, hub.repo)
        count = sum(path.is_file() for path in to.rglob("*"))
        return {"layout": "as published", "files": count, "splits": {}, "left_out": [], **unpacked}
    staging = to / ".unpacked"
    published = {path: folder / path for path in wanted if not is_archive(path)}
    for number, path in enumerate(path for path in wanted if is_archive(path)):
        unpack(folder / path, staging / str(number))
        unpack_archives(staging / str(number), f"{hub.repo}/{path}")
        published |= _named(path, unwrap(staging / str(number)))
    pictures = [path for path in published if is_image_name(path)]
    places = arrange(pictures)
    if not places:
        raise DataError(f"'{hub.repo}' holds no images in class folders.")
    _place({place: published[path] for path, place in places.items()}, to, staging)
    shutil.rmtree(staging, ignore_errors=True)
    left_out = sorted(set(pictures) - set(places))
    return {"layout": "folders", "files": len(places), "splits": _count(places.values()), "left_out": left_out}


def _holds_label_files(path: Path) -> bool:
    if not is_archive(path.name):
        return False
    with members_of(path) as members:
        return any(_is_label_file(member.path) for member in members)


def _is_label_file(path: str) -> bool:
    return is_annotation(path) and PurePosixPath(path).name not in NOT_DATA


def _named(archive: str, folder: Path) -> dict[str, Path]:
    """An archive's files by the path they stand for, with its name where that is a split or the class."""
    inner = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    stem = stem_of(archive)
    counts = stem.lower() in SPLITS or any("/" not in path for path in inner if is_image_name(path))
    parent = PurePosixPath(archive).parent / (stem if counts else "")
    return {(parent / path).as_posix(): folder / path for path in inner}


def _place(sources: dict[str, Path], to: Path, staging: Path) -> None:
    """Move what was unpacked and copy what lies in the client's cache."""
    with progress_bar("Placing files", len(sources)) as bar:
        for place, source in sources.items():
            target = to / place
            if source.is_relative_to(staging):
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
            else:
                copy_file(source, target)
            bar.advance(bar.task_ids[0])


def _count(places: Any) -> dict[str, dict[str, int]]:
    """Images of each split and class; the split is `all` where none is named."""
    counts: dict[str, Counter[str]] = {}
    for place in places:
        parts = place.split("/")
        split, label = (parts[0], parts[1:]) if parts[0].lower() in SPLITS else ("all", parts)
        counts.setdefault(split, Counter())[label[0] if len(label) > 1 else ""] += 1
    return {split: dict(sorted(each.items())) for split, each in sorted(counts.items())}
