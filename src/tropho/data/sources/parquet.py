"""Write the images of parquet tables as SPLIT/CLASS/file, bytes and names as published."""

import io
import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from tropho.errors import DataError
from tropho.images.file_types import FORMATS_BY_ENDING, is_image_name
from tropho.log import track

LABEL_NAMES = ("label", "labels", "class", "target", "category")
BATCH_ROWS = 64
_ENDINGS = {name: ending for ending, names in reversed(FORMATS_BY_ENDING.items()) for name in sorted(names)}
"""Ending by Pillow's name of the format."""


class Columns(NamedTuple):
    """Columns of images and labels; `names` are the classes that numbers stand for, None if labels are text."""

    image: str
    label: str
    names: list[str] | None


def write_images(
    tables: dict[str, tuple[Path, str]], to: Path, card: Path
) -> tuple[Counter[tuple[str, str]], list[dict[str, Any]]]:
    """Write every image of the tables (name in the repository -> file, split) below the folder `to`.

    `card` is a folder that may hold the data set's README.md, which names the classes if the tables do not. Returns the
    number of images by (split, class), and rows without a readable image or class: {file, row (1-based), reason}.
    """
    import pyarrow.parquet as pq

    counts: Counter[tuple[str, str]] = Counter()
    quarantined: list[dict[str, Any]] = []
    for name, (path, split) in tables.items():
        try:
            table = pq.ParquetFile(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise DataError(f"{name} is no readable parquet file ({' '.join(str(error).split())}).") from error
        columns = columns_of(table.schema_arrow, name, card)
        batches = table.iter_batches(batch_size=BATCH_ROWS, columns=[columns.image, columns.label])
        records = (record for batch in batches for record in batch.to_pylist())
        for row, record in enumerate(track(records, f"Writing {name}", table.metadata.num_rows), 1):
            label = _class_of(record[columns.label], columns.names)
            reason = f"the row has no class ({columns.label} is {json.dumps(record[columns.label])})"
            if label is not None:
                reason = _write(record[columns.image] or {}, row, to / split / label)
                counts[split, label] += not reason
            if reason:
                quarantined.append({"file": name, "row": row, "reason": reason})
    return +counts, quarantined


def columns_of(schema: Any, name: str, card: Path) -> Columns:
    """Find the image and label columns by the features that `datasets` notes in the table or the card."""
    import datasets
    from datasets.info import DatasetInfosDict

    features: dict[str, Any] = dict(datasets.Features.from_arrow_schema(schema))
    images = [key for key, kind in features.items() if _holds_images(kind)]
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
        return Columns(image, label, list(features[label].names))
    for label in LABEL_NAMES:
        if getattr(features.get(label), "dtype", None) in ("string", "large_string"):
            return Columns(image, label, None)
    raise DataError(f"{name} does not name its classes; its columns are {', '.join(features)}.")


def _holds_images(kind: Any) -> bool:
    import datasets

    return isinstance(kind, datasets.Image) or (isinstance(kind, dict) and {"bytes", "path"} <= set(kind))


def _class_of(value: Any, names: list[str] | None) -> str | None:
    """Return the class's name, fit for a folder; None if there is no label (the Hub writes -1 for hidden ones)."""
    if names is not None and isinstance(value, int):
        value = names[value] if 0 <= value < len(names) else None
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip().replace("/", "_").replace("\\", "_").lstrip(".") or None


def _write(image: dict[str, Any], row: int, folder: Path) -> str:
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
