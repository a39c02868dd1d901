"""Tables that stages exchange: columns, types, reading and writing.

Boxes are absolute pixels of the decoded image, x first, half-open floats: width = xmax - xmin. Text is kept as it is
spelled ("None", "007" and "1e5" are text); only an empty cell is missing.
"""

import csv
import json
import math
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.files import atomic_path, reading

BOX = ["xmin", "ymin", "xmax", "ymax"]
GIVEN, SUGGESTED = ([f"{which}_{side}" for side in BOX] for which in ("given", "suggested"))
DECIMALS = 6  # decimals of confidences and probabilities in a submission

IMAGES = {
    "image_id": "string",  # unique; for Zindi the file name, for folders the path below the data set
    "path": "string",  # below data/raw/T
    "width": "Int64",  # pixels, after EXIF rotation; empty where the file can't be read
    "height": "Int64",
    "device": "string",  # maker and model by EXIF; empty where the file doesn't say
    "sha256": "string",
    "group": "string",  # images that must stay on one side of a split: of one patient or slide, or the same picture
    "duplicate": "string",  # the first of the images that show the same, exactly or nearly; empty for all others
    "label": "string",  # classification; empty for detection and for unlabelled test images
    "ignore_classes": "string",  # classes that annotators left out of such images, see join_names; empty where none
    "subset": "string",  # train | validation | test, as published
    "status": "string",  # ok | missing | unreadable | unlabelled | excluded; see usable_images
}
OPTIONAL_COLUMNS = frozenset({"device", "ignore_classes", "ignore"})
"""Columns that tables from elsewhere may lack; they are empty then."""
BOXES = {
    "image_id": "string",
    "label": "string",
    **dict.fromkeys(BOX, "float64"),
    "ignore": "boolean",  # an ignored region (a crowd): its inside is neither learned from nor scored; empty = False
}
ISSUES = {
    "kind": "string",  # such as unreadable, missing, zero_area, clipped, double_box, duplicate_image
    "image_id": "string",
    "file": "string",  # where the fault stands, below data/raw/T (corrections: below the repository root)
    "row": "Int64",  # line of that file, 1-based, header included; empty where there are no lines
    "action": "string",  # quarantined | dropped | clipped | repaired | merged | grouped | ignored | corrected | listed
    "detail": "string",  # one sentence with the values
}
SPLITS = {
    "image_id": "string",
    "subset": "string",  # train | test | excluded (a training image that is also in the test or validation set)
    "fold": "Int64",  # 0..k-1 for train, -1 otherwise; beside a published validation set, 0 is that set and 1 the rest
    "group": "string",
}
GRADIENT, MEAN, STD, DEAD = "grad_norm/", "output_mean/", "output_std/", "dead_fraction/"
"""Prefixes of the columns of history.csv with statistics of layers; a layer's name follows."""
DETECTIONS = {"image_id": "string", "label": "string", "score": "float64", **dict.fromkeys(BOX, "float64")}

LABEL_ISSUES = {
    "image_id": "string",  # from here to reason: a line for a table of corrections (corrections/README.md)
    "action": "string",  # drop | add | move | relabel | set label
    "label": "string",
    **dict.fromkeys(BOX, "float64"),  # empty for classes of images
    "reason": "string",
    "rank": "Int64",  # 1 = most probably wrong
    "kind": "string",  # spurious | overlooked | not_negative | swap | badloc | duplicate
    "score": "float64",  # probability that the label is wrong, 0..1
    "given_label": "string",  # as annotated; empty where nothing is
    **{f"given_{side}": "float64" for side in BOX},
    "suggested_label": "string",  # as predicted; empty where nothing is
    **{f"suggested_{side}": "float64" for side in BOX},
}


def usable_images(images: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of IMAGES that stages after the audit use.

    Those are images that are ok, and readable test images, which are predicted whatever is wrong with their labels.
    """
    is_readable_test = (images["subset"] == "test") & (images["status"] == "unlabelled") & images["width"].notna()
    return images[(images["status"] == "ok") | is_readable_test]


def empty(schema: dict[str, str]) -> pd.DataFrame:
    """Make a table without rows that has the schema's columns and types."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in schema.items()})


def conform(table: pd.DataFrame, schema: dict[str, str], name: str = "table") -> pd.DataFrame:
    """Convert a table to the schema's columns, order and types; other columns are dropped, empty text becomes missing.

    Raises:
        DataError: a column is missing; the sentence names it.
    """
    missing = [column for column in schema if column not in table and column not in OPTIONAL_COLUMNS]
    if missing:
        raise DataError(f"{name} has no column '{missing[0]}'; it needs {', '.join(schema)}.")
    table = table.reindex(columns=list(schema)).astype(schema)
    texts = [column for column, kind in schema.items() if kind == "string"]
    table[texts] = table[texts].mask(table[texts] == "")
    return table.fillna({"ignore": False}) if "ignore" in schema else table


def is_region(boxes: pd.DataFrame) -> np.ndarray:
    """Return whether each of the boxes (BOXES) is an ignored region, (n,) bool."""
    if "ignore" not in boxes:
        return np.zeros(len(boxes), bool)
    return boxes["ignore"].astype("boolean").fillna(value=False).to_numpy(bool)


def split_regions(boxes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate boxes of objects from ignored regions, each indexed from 0; the column `ignore` may be missing."""
    region = is_region(boxes)
    return boxes[~region].reset_index(drop=True), boxes[region].reset_index(drop=True)


def write_table(table: pd.DataFrame, path: Path, schema: dict[str, str] | None = None) -> None:
    """Write CSV (or parquet, by the ending of `path`) atomically, in the schema's order and types if given.

    Raises:
        DataError: a column is missing, or a text can't be stored as UTF-8.
    """
    with unicode_only(path.name):
        if schema is not None:
            table = conform(table, schema, path.name)
        with atomic_path(path) as temporary:
            if path.suffix == ".parquet":
                table.to_parquet(temporary, index=False)
            else:
                table.to_csv(temporary, index=False, lineterminator="\n", quoting=_quoting(table))


@contextmanager
def unicode_only(where: str) -> Iterator[None]:
    """Turn the error at text that is no valid Unicode, such as a file name in another encoding, into DataError."""
    try:
        yield
    except UnicodeEncodeError as error:
        start, end = max(0, error.start - 60), error.end + 60
        bad = error.object[start:end].encode("utf-8", "backslashreplace").decode()
        raise DataError(f"{where} holds '{bad}', which is not valid Unicode; rename that file or label.") from None


def _quoting(table: pd.DataFrame) -> Literal[0, 2]:
    """Choose the csv module's quoting style: minimal, which forgets that a carriage return needs quotes."""
    texts = [table[column] for column in table.columns[~table.dtypes.map(pd.api.types.is_numeric_dtype)]]
    cells = (cell for column in (table.columns, *texts) for cell in column if isinstance(cell, str))
    return csv.QUOTE_NONNUMERIC if any("\r" in cell for cell in cells) else csv.QUOTE_MINIMAL


def read_table(path: Path, schema: dict[str, str]) -> pd.DataFrame:
    """Read what `write_table` wrote; raise DataError if the file is missing or damaged, or lacks a column."""
    with reading(path):
        table = read_parquet(path) if path.suffix == ".parquet" else read_csv(path, schema)
        if path.suffix == ".csv" and not _ends_a_line(path):
            raise ValueError("it is cut short")
        return conform(table, schema, str(path))


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet table as `write_table` wrote it; raise DataError if the file is missing or damaged."""
    with reading(path):
        return pd.read_parquet(path)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_csv(path: Path, dtype: Mapping[str, str]) -> pd.DataFrame:
    """Read a CSV file in UTF-8; only empty cells are missing values. Types of columns not in `dtype` are inferred.

    Raises:
        DataError: two columns have the same name.
        ValueError, OSError: the file can't be read as CSV.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        check_columns(next(csv.reader(file), []), path)
    return pd.read_csv(
        path, dtype=dict(dtype), encoding="utf-8-sig", keep_default_na=False, na_values=[""], index_col=False
    )


def check_columns(columns: Iterable[str], file: Path | str) -> None:
    """Raise DataError, naming both places, if two columns of a table have the same non-empty name."""
    first: dict[str, int] = {}
    for place, name in enumerate(columns, start=1):
        known = first.setdefault(nfc(name), place)
        if name and known != place:
            raise DataError(f"{file}: columns {known} and {place} are both called '{name}'; rename or remove one.")


def nfc(text: str) -> str:
    """Normalize text to NFC, in which names are compared; written names keep their spelling."""
    return unicodedata.normalize("NFC", text)


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Index the first spelling of each name by its normal form."""
    return {nfc(name): name for name in reversed(list(names))}


def join_names(names: Iterable[str]) -> str:
    """Join class names to one cell: a sorted JSON list without duplicates."""
    return json.dumps(sorted(set(names)), ensure_ascii=False)


def split_names(cell: str) -> list[str]:
    """Split a cell that `join_names` made; raise DataError if it is none."""
    try:
        names = json.loads(cell)
    except ValueError:
        names = None
    if not isinstance(names, list):
        raise DataError(f"Column 'ignore_classes' holds '{cell}', which is no JSON list; run the audit stage again.")
    return [str(name) for name in names]


def parse_number(text: str, decimal_comma: bool = False) -> float:
    """Convert a cell to a finite float; NaN for any other text. `decimal_comma` reads "12,5" as 12.5."""
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text) if "_" not in text else math.nan  # float() reads 1_000
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
