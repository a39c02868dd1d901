"""Layout of images in a published data set: splits, classes, and the folders that wrap them."""

import io
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from tropho.errors import DataError
from tropho.images.file_types import FORMATS_BY_ENDING

ANNOTATION_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".xml", ".txt"})
YOLO_NAMES = frozenset({"data.yaml", "data.yml", "dataset.yaml", "dataset.yml"})
SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})

_ENDINGS = {name: ending for ending, names in reversed(FORMATS_BY_ENDING.items()) for name in sorted(names)}
"""Ending by Pillow's name of the format."""


def suffix_of(content: bytes) -> str | None:
    """Return the file name ending of an image by its first bytes; None if they are no known image's."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _ENDINGS.get(image.format or "")
    except (UnidentifiedImageError, ValueError, OSError):
        return None


def is_annotation(path: str) -> bool:
    """Return whether the name ends like a table of labels and is no read-me."""
    name = PurePosixPath(path)
    if name.name.lower() in YOLO_NAMES:
        return True
    return name.suffix.lower() in ANNOTATION_SUFFIXES and not name.stem.lower().startswith(("readme", "license"))


def arrange(paths: Iterable[str]) -> dict[str, str]:
    """Place images of class folders as SPLIT/CLASS/file, or CLASS/file if no split is named: path -> place.

    Folders around the splits are dropped; names stay. Images outside the splits (without splits: outside any
    folder) illustrate the data set's page and get no place. Two images of one place are refused with a DataError.
    """
    parts_of = {path: _unwrapped(PurePosixPath(path).parts) for path in paths if "/" in path}
    placed = {path: parts for path, parts in parts_of.items() if parts[0].lower() in SPLITS and len(parts) > 1}
    if not placed:
        common = _common_folders(list(parts_of.values()))
        placed = {path: parts[common:] for path, parts in parts_of.items()}
    places = {path: "/".join(parts) for path, parts in placed.items()}
    taken: dict[str, str] = {}
    for path, place in places.items():
        if place in taken:
            raise DataError(f"'{path}' and '{taken[place]}' are both {place}; keep one of the two folders.")
        taken[place] = path
    return places


def _unwrapped(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Drop folders before the split and its repeats: (`OCT`, `train`, `train`, `CNV`) -> (`train`, `CNV`)."""
    starts = [index for index, part in enumerate(parts[:-1]) if part.lower() in SPLITS]
    if not starts:
        return parts
    start = starts[0]
    while start + 1 in starts and parts[start + 1].lower() == parts[start].lower():
        start += 1
    return parts[start:]


def _common_folders(paths: list[tuple[str, ...]]) -> int:
    """Count the leading folders that all images share; each image keeps at least one folder, its class."""
    depth = min((len(parts) - 2 for parts in paths), default=0)
    count = 0
    while count < depth and len({parts[count] for parts in paths}) == 1:
        count += 1
    return count


def unwrap(folder: Path, stem: str = "") -> Path:
    """Return the inner folder that holds the data set, skipping folders that hold nothing but one folder.

    A folder named like a split, or one that holds files alone, is skipped only if it is named like the archive,
    whose name without ending is `stem`.
    """
    while True:
        entries = list(folder.iterdir())
        if len(entries) != 1 or not entries[0].is_dir():
            return folder
        inner = entries[0]
        is_data = inner.name.lower() in SPLITS or not any(entry.is_dir() for entry in inner.iterdir())
        if is_data and inner.name.lower() != stem.lower():
            return folder
        folder = inner
