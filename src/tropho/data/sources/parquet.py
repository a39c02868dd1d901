"""Images kept in parquet tables -> SPLIT/CLASS/file, bytes and names as published."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.data.sources.download_progress import progress_bar
from tropho.data.sources.image_layout import suffix_of
from tropho.errors import DataError
from tropho.images.file_types import is_image_name

LABEL_NAMES = ("label", "labels", "class", "target", "category")
BATCH_ROWS = 64


@dataclass(frozen=True)
class Columns:
    """Where a table keeps images and labels; `names` turns numbers into classes, None where text is kept."""

    image: str
    label: str
    names: list[str] | None


@dataclass
class Written:
    """What was written: images of each split and class, and the rows that could not be."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    quarantined: list[dict[str, Any]] = field(default_factory=list)


def write_images(tables: dict[str, tuple[Path, str]], to: Path, card: Path | None) -> Written:
    """Write every image of some tables below `to`.

    Args:
        tables: name of a table in its repository -> (file, split).
        to: an existing folder.
        card: folder with the data set's README.md, which may name the classes where the tables do not.

    Returns:
        Counts, and rows without a readable image or a class, with file, row (1-based) and reason.

    Raises:
        DataError: if a table is unreadable or has no image or label column, or classes have no names.
    """
    import pyarrow.parquet as pq

    written = Written()
    opened: list[tuple[str, str, Any]] = []
    for name, (path, split) in tables.items():
        try:
            opened.append((name, split, pq.ParquetFile(path)))
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise DataError(f"{name} is no readable parquet file ({' '.join(str(error).split())}).") from error
    with progress_bar("Writing images", sum(table.metadata.num_rows for _, _, table in opened)) as bar:
        for name, split, table in opened:
            columns = columns_of(table.schema_arrow, name, card)
            row = 0
            for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=[columns.image, columns.label]):
                for record in batch.to_pylist():
                    row += 1
                    reason = _write_row(record, columns, row, to / split, written.counts.setdefault(split, Counter()))
                    if reason:
                        written.quarantined.append({"file": name, "row": row, "reason": reason})
                bar.advance(bar.task_ids[0], len(batch))
    return written


def columns_of(schema: Any, name: str, card: Path | None) -> Columns:
    """Find the image and label columns by the features that `datasets` notes in the table or the card."""
    import datasets

    features: dict[str, Any] = dict(datasets.Features.from_arrow_schema(schema))
    images = [key for key, kind in features.items() if _holds_images(kind)]
    if not images:
        raise DataError(f"{name} has no image column among {', '.join(features)}; is it another config's table?")
    if not any(isinstance(kind, datasets.ClassLabel) for kind in features.values()):
        features |= {key: kind for key, kind in _card_features(card).items() if key in features}
    classed = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    known = [key for key in LABEL_NAMES if key in classed] or classed
    if known:
        return Columns(_first(images, "image"), known[0], list(features[known[0]].names))
    text = [key for key in LABEL_NAMES if getattr(features.get(key), "dtype", None) in ("string", "large_string")]
    if text:
        return Columns(_first(images, "image"), text[0], None)
    raise DataError(f"{name} does not name its classes; its columns are {', '.join(features)}.")


def _holds_images(kind: Any) -> bool:
    import datasets

    return isinstance(kind, datasets.Image) or (isinstance(kind, dict) and {"bytes", "path"} <= set(kind))


def _first(names: list[str], wanted: str) -> str:
    return wanted if wanted in names else names[0]


def _card_features(card: Path | None) -> dict[str, Any]:
    from datasets.info import DatasetInfosDict

    if card is None:
        return {}
    infos = DatasetInfosDict.from_directory(str(card))
    return next((dict(info.features) for info in infos.values() if info.features), {})


def _write_row(record: dict[str, Any], columns: Columns, row: int, folder: Path, counts: Counter[str]) -> str | None:
    """Write one image; return why not, if it can't be."""
    image = record[columns.image] or {}
    content = image.get("bytes")
    label = _class_of(record[columns.label], columns)
    if not content:
        return "the row has no image bytes"
    if label is None:
        return f"the row has no class ({columns.label} is {json.dumps(record[columns.label])})"
    name = PurePosixPath((image.get("path") or "").replace("\\", "/")).name
    suffix = suffix_of(content)
    if not is_image_name(name):
        if suffix is None:
            return "the bytes are no image's"
        name = f"{name or f'{row:06d}'}{suffix}"
    target = _free(folder / label / name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    counts[label] += 1
    return None


def _class_of(value: Any, columns: Columns) -> str | None:
    """The class's name, fit for a folder; None for no label (the Hub writes -1 for hidden ones)."""
    if columns.names is not None and isinstance(value, int):
        value = columns.names[value] if 0 <= value < len(columns.names) else None
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip().replace("/", "_").replace("\\", "_").lstrip(".") or None


def _free(path: Path) -> Path:
    """The path, or with -2, -3, ... before its ending where another image of the class has the same name."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
