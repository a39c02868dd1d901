"""Find the tables of a data set, and read CSV files with any common delimiter and encoding as text."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tropho.config.data_config import AuditConfig
from tropho.data.formats.box_columns import Columns, recognise
from tropho.data.formats.label_collector import VALIDATION, files_below, find_label_files
from tropho.errors import DataError

ENDINGS = (".csv", ".tsv")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


@dataclass(frozen=True)
class CsvTable:
    """The cells of a CSV file."""

    delimiter: str  # a key of DELIMITERS
    rows: list[tuple[int, list[str]]]  # (last line of the row, 1-based; stripped cells) of every row that is not blank

    @property
    def header(self) -> list[str]:
        """The cells of the first row."""
        return self.rows[0][1] if self.rows else []


def read_csv(path: Path, name: str) -> CsvTable:
    """Read every row as text (UTF-8 or UTF-16), parted by the delimiter that divides the first row into most cells."""
    text = _decode(path.read_bytes(), name)
    head, _, rest = text.partition("\n")
    if head.strip().lower() in {f"sep={delimiter}" for delimiter in DELIMITERS}:  # written by Excel
        text = f"\n{rest}"
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        delimiter = max(DELIMITERS, key=lambda char: len(next(csv.reader([first], delimiter=char), [])))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(f"{name} is not a CSV file ({error}).") from None
    return CsvTable(delimiter, rows)


def find_tables(
    settings: AuditConfig, raw: Path, holds_labels: Callable[[Columns], bool]
) -> dict[str, list[PurePosixPath]]:
    """Find the tables of each subset as `find_label_files` does: train.csv, val.csv, test.csv, or others with labels.

    A DataError names the tables where none is for training.
    """
    words = {"test": ["test"], "validation": VALIDATION, "train": ["train"]}
    usual = {subset: {f"{name}{ending}" for name in names for ending in ENDINGS} for subset, names in words.items()}
    paths = [path for path in files_below(raw, *ENDINGS) if not re.search("sample|submission", path.name.lower())]

    def candidates(known: list[PurePosixPath]) -> list[PurePosixPath]:
        left = [path for path in paths if path not in known]
        return [path for path in left if len(left) == 1 or _holds_labels(raw / path, settings, holds_labels)]

    found = find_label_files(settings, raw, candidates, usual)
    del found[""]
    if settings.train is None and not found["train"] and not found["validation"]:
        names = ", ".join(str(path) for path in paths if path not in found["test"])
        remedy = f"name the table of labels in audit.train (tables: {names})" if names else "place it there"
        raise DataError(f"There is no Train.csv in {raw}; {remedy}.")
    return found


def _holds_labels(path: Path, settings: AuditConfig, holds_labels: Callable[[Columns], bool]) -> bool:
    try:
        return holds_labels(recognise(read_csv(path, path.name).header, settings.columns, path.name, strict=False))
    except DataError:
        return False


def _decode(data: bytes, name: str) -> str:
    """Decode bytes by their byte order mark, or else as UTF-8."""
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{name} is not text in UTF-8 (line {line}); in Excel, save it as 'CSV UTF-8'.") from None
    if "\0" in text:
        raise DataError(f"{name} is not a CSV file: it holds zero bytes.")
    return text
