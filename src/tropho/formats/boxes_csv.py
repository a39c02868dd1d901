"""Zindi's tables: Train.csv and Test.csv with Image_ID,class,confidence,ymin,xmin,ymax,xmax (y first)."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tropho.errors import DataError
from tropho.formats.image_files import ImageFiles
from tropho.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    IssueLog,
    Labels,
    named_files,
    table_of,
)
from tropho.settings import TaskSettings

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
COLUMNS = ["Image_ID", "class", *CORNERS]


@dataclass(frozen=True)
class Row:
    """One usable line: a box (corners NaN where the cells are empty), or an image alone (label empty)."""

    line: int
    image_id: str
    label: str
    corners: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax in pixels


def read(settings: TaskSettings, raw: Path) -> Labels:
    """Labels of Train.csv, and the images (with labels, if it has them) of Test.csv.

    A row that can't be used is quarantined and listed; an image none of whose training rows can be used is
    unlabelled. An image of both tables belongs to the test set.

    Raises:
        DataError: there is no Train.csv, or a table lacks a column.
    """
    audit = settings.audit
    files = {
        "test": named_files(raw, audit.test, {"test.csv"}, "audit.test"),
        "train": named_files(raw, audit.train, {"train.csv"}, "audit.train"),
    }
    if not files["train"]:
        raise DataError(f"There is no Train.csv in {raw}; place it there, or name it in audit.train.")
    on_disk, log = ImageFiles(raw), IssueLog()
    images: dict[str, dict[str, str]] = {}
    boxes = []
    for subset, paths in files.items():
        for path in paths:
            name = path.relative_to(raw).as_posix()
            for row in _rows(path, name, subset == "test", log, images):
                entry = images.setdefault(row.image_id, {"subset": subset, "path": on_disk.locate(row.image_id)})
                if entry["subset"] != subset:
                    detail = "The image is in the test table too; it is kept for test alone."
                    log.add("in_both_subsets", "dropped", detail, row.image_id, name, row.line)
                    continue
                entry["status"] = "ok"
                if row.label:
                    box = dict(zip(CORNERS, row.corners, strict=True))
                    place = {"image_id": row.image_id, "file": name, "row": row.line}
                    boxes.append({**place, "label": row.label, **box})
    for image_id, entry in images.items():
        if entry.setdefault("status", "unlabelled") == "unlabelled":
            log.add("unlabelled", "quarantined", "None of its rows can be used.", image_id)
        entry.setdefault("path", on_disk.locate(image_id))
    rows = ({"image_id": image_id, **entry} for image_id, entry in images.items())
    return Labels(table_of(rows, LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES), log.table(), [])


def _rows(path: Path, name: str, may_be_bare: bool, log: IssueLog, images: dict[str, dict[str, str]]) -> Iterator[Row]:
    """The usable rows of a table; others go to the log, their image (if named) to `images` with no status."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip() for cell in next(reader, [])]
            needed = COLUMNS[:1] if may_be_bare else COLUMNS
            absent = [column for column in needed if column not in header]
            if absent:
                raise DataError(f"{name} has no column '{absent[0]}'; it needs {', '.join(COLUMNS)}.")
            for cells in reader:
                if not cells:
                    continue
                record = {column: cell.strip() for column, cell in zip(header, cells, strict=False)}
                fault = "" if len(cells) == len(header) else f"{len(cells)} cells under {len(header)} columns"
                row = fault or _row(record, reader.line_num, may_be_bare)
                if isinstance(row, Row):
                    yield row
                    continue
                image_id = record.get("Image_ID", "")
                log.add("bad_row", "quarantined", f"{row}.", image_id, name, reader.line_num)
                if image_id:
                    images.setdefault(image_id, {"subset": "test" if may_be_bare else "train"})
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} is not a CSV file in UTF-8 ({error}).") from None


def _row(record: dict[str, str], line: int, may_be_bare: bool) -> Row | str:
    """One line's cells -> the row, or the reason why it can't be used."""
    if not record["Image_ID"]:
        return "The cell Image_ID is empty"
    label = record.get("class", "")
    cells = [record.get(column, "") for column in CORNERS]
    if not label:
        if may_be_bare and not any(cells):
            return Row(line, record["Image_ID"], "", (math.nan,) * 4)
        return "The cell class is empty"
    if not any(cells):
        return Row(line, record["Image_ID"], label, (math.nan,) * 4)
    corners = []
    for column, cell in zip(CORNERS, cells, strict=True):
        value = _number(cell)
        if value is None:
            return f"The cell {column} is empty" if not cell else f"The cell {column} holds '{cell}', not a number"
        corners.append(value)
    xmin, ymin, xmax, ymax = corners
    return Row(line, record["Image_ID"], label, (xmin, ymin, xmax, ymax))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
