"""CSV files as people save them: comma, semicolon or tab, UTF-8 or UTF-16, decimal points or commas."""

import codecs
import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from tropho.errors import DataError

DELIMITERS = ",;\t"
NAMES_OF_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


@dataclass(frozen=True)
class CsvTable:
    """The cells of a CSV file.

    Attributes:
        name: the file's path below data/raw/T, as messages give it.
        delimiter: what separates the cells: one of DELIMITERS.
        rows: (line, cells) of the rows that are not blank; line is the row's last, 1-based; cells are stripped.
    """

    name: str
    delimiter: str
    rows: list[tuple[int, list[str]]]


def read_csv(path: Path, name: str) -> CsvTable:
    """Read every row of a CSV file as text, whatever its delimiter.

    The delimiter is the one that divides the first row into most cells; a comma where none does.

    Raises:
        DataError: the file is not text in UTF-8 or UTF-16, or not CSV.
    """
    text = _decode(path.read_bytes(), name)
    head, _, rest = text.partition("\n")
    if head.strip().lower() in {f"sep={each}" for each in DELIMITERS}:  # Excel's own way to name the delimiter
        text = f"\n{rest}"
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        delimiter = max(DELIMITERS, key=lambda each: len(next(csv.reader([first], delimiter=each), [])))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(f"{name} is not a CSV file ({error}).") from None
    return CsvTable(name, delimiter, rows)


def _decode(data: bytes, name: str) -> str:
    """Bytes -> text by their byte order mark; UTF-8 where there is none."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        remedy = "save it as UTF-8 (in Excel: 'CSV UTF-8'), so that names keep their letters"
        raise DataError(f"{name} is not text in UTF-8 (line {line}); {remedy}.") from None
    if "\0" in text:
        raise DataError(f"{name} is not a CSV file: it holds zero bytes.")
    return text


def check_headings(header: list[str], name: str) -> None:
    """Refuse a heading that two columns bear; raise DataError with the positions of both, counted from 1."""
    seen: dict[str, int] = {}
    for place, heading in enumerate(header, start=1):
        if heading and seen.setdefault(heading, place) != place:
            where = f"columns {seen[heading]} and {place}"
            raise DataError(f"{name} has the heading '{heading}' twice ({where}); rename or remove one of them.")


def number(cell: str, decimal_comma: bool = False) -> float | None:
    """A cell's finite value, or None for what is no number.

    Args:
        cell: the text, such as "12.5".
        decimal_comma: "12,5" is 12.5 as well: in files whose cells are not separated by commas.
    """
    if decimal_comma and cell.count(",") == 1 and "." not in cell:
        cell = cell.replace(",", ".")
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
