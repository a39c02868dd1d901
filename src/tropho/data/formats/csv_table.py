"""Read CSV files with any common delimiter and encoding as text."""

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from tropho.errors import DataError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


@dataclass(frozen=True)
class CsvTable:
    """The cells of a CSV file."""

    name: str  # path of the file below data/raw/T, for messages
    delimiter: str  # a key of DELIMITERS
    rows: list[tuple[int, list[str]]]  # (last line of the row, 1-based; stripped cells) of every row that is not blank

    @property
    def header(self) -> list[str]:
        """The cells of the first row."""
        return self.rows[0][1] if self.rows else []


def read_csv(path: Path, name: str) -> CsvTable:
    """Read every row as text, parted by the delimiter that divides the first row into most cells.

    Raises:
        DataError: the file is not text in UTF-8 or UTF-16, or not CSV.
    """
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
    return CsvTable(name, delimiter, rows)


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
