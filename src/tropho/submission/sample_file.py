"""Find and read the competition's sample submission as text, and tell what its columns hold."""

import csv
import math
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tropho.errors import DataError, UsageError
from tropho.images.file_types import is_hidden
from tropho.tables import check_columns, parse_number

ROLES = {
    **dict.fromkeys(
        "imageid image images imagename img imgid imgname imageindex picture photo id ids idcode uid uuid file fileid "  # noqa: SIM905
        "filename filepath path imagepath name key".split(),
        "image",
    ),
    **dict.fromkeys(
        "label labels class classid classname classlabel category categoryid target targetlabel prediction predicted "  # noqa: SIM905
        "predictedlabel predictedclass labelname diagnosis".split(),
        "label",
    ),
    **dict.fromkeys(("confidence", "conf", "score", "probability", "prob", "proba", "p"), "score"),
    **dict.fromkeys(("predictionstring", "predictions"), "strings"),
    **dict.fromkeys(("xmin", "x1", "left"), "xmin"),
    **dict.fromkeys(("ymin", "y1", "top"), "ymin"),
    **dict.fromkeys(("xmax", "x2", "right"), "xmax"),
    **dict.fromkeys(("ymax", "y2", "bottom"), "ymax"),
    **dict.fromkeys(("w", "width"), "width"),
    **dict.fromkeys(("h", "height"), "height"),
    "x": "x",
    "y": "y",
}
"""What a column holds, by its name as `fold` leaves it."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
CORNER_AND_SIZE = ("x", "y", "width", "height")

_NAME = re.compile(r"(sample|example)submission|submission(format|sample|template|example)")


@dataclass(frozen=True)
class Columns:
    """The columns of a sample by what their names say."""

    image: str
    label: str | None
    score: str | None
    sides: dict[str, str]  # column by side of the box (CORNERS or CORNER_AND_SIZE); {} = no boxes
    strings: str | None  # the column with all boxes of an image in one cell
    others: list[str]  # columns without a known name


@dataclass(frozen=True)
class Sample:
    """A sample submission; every cell is text as it stands in the file."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]  # (line of the file, 1-based; as many cells as the header has)
    delimiter: str
    id_column: int  # index of the column of image ids

    @property
    def ids(self) -> dict[str, int]:
        """Map each image id, in the order of the file, to the line of its first row."""
        lines: dict[str, int] = {}
        for line, cells in self.rows:
            if cells[self.id_column].strip():
                lines.setdefault(cells[self.id_column], line)
        return lines

    @property
    def nameless(self) -> list[int]:
        """Lines without an image id."""
        return [line for line, cells in self.rows if not cells[self.id_column].strip()]

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column that are not blank."""
        index = self.header.index(column)
        return [cells[index] for _, cells in self.rows if cells[index].strip()]

    @property
    def columns(self) -> Columns:
        """The columns by their names."""
        image = self.header[self.id_column]
        names: dict[str, str] = {}  # the first column by role
        for name in self.header:
            if name != image and (role := role_of(name)):
                names.setdefault(role, name)
        sides = next((form for form in (CORNERS, CORNER_AND_SIZE) if set(form) <= set(names)), ())
        box = {side: names[side] for side in sides}
        label, score, strings = (names.get(role) for role in ("label", "score", "strings"))
        known = {image, label, score, strings, *box.values()}
        return Columns(image, label, score, box, strings, [name for name in self.header if name not in known])


def role_of(column: str) -> str | None:
    """Return what a column holds by its name; None where that says nothing."""
    return ROLES.get(fold(column))


def fold(text: str) -> str:
    """Normalize a name for comparison: no case, spaces, underscores and hyphens, Unicode's composed form."""
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", text).casefold())


def is_sample(name: str) -> bool:
    """Whether a file is named like a sample submission: sample_submission.csv, SampleSubmission.csv, and so on."""
    stem, ending = os.path.splitext(name.lower())  # noqa: PTH122
    return ending == ".csv" and _NAME.search(re.sub(r"[^a-z0-9]", "", stem)) is not None


def find_sample(raw: Path, named: str | None = None) -> Path | None:
    """Find the sample submission in `raw` or any folder of it; None if there is none.

    Args:
        raw: folder of the task's files.
        named: audit.sample, its path below `raw`; None looks for the usual names.

    Raises:
        UsageError: there is no file of that name.
        DataError: there are several, and they differ.
    """
    if named is not None:
        if not (raw / named).is_file():
            raise UsageError(f"audit.sample: there is no file '{named}' in {raw}.")
        return raw / named
    paths = [path for path in raw.rglob("*.[cC][sS][vV]") if is_sample(path.name)]
    paths = [path for path in paths if not any(map(is_hidden, path.relative_to(raw).parts))]
    paths.sort(key=lambda path: (len(path.parts), path))
    if len({path.read_bytes() for path in paths}) > 1:
        names = " and ".join(path.relative_to(raw).as_posix() for path in paths)
        raise DataError(f"{raw} holds several sample submissions, {names}; name the right one in audit.sample.")
    return paths[0] if paths else None


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of every row that is not blank; raise csv.Error or UnicodeDecodeError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, delimiter=delimiter)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1


def read_sample(path: Path) -> Sample:
    """Read a sample submission.

    Raises:
        DataError: it is no file or no CSV, has no rows, two equal columns, or a row with too many or few cells.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}; name the competition's sample submission, a CSV file.")
    try:
        first = next(csv_rows(path), (0, [""]))[1]
        delimiter = next((char for char in ";\t" if len(first) == 1 and char in first[0]), ",")
        rows = list(csv_rows(path, delimiter))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"The sample {path} can't be read: {error}.") from error
    if len(rows) < 2:
        raise DataError(f"The sample {path} has no rows; give the competition's own sample submission.")
    header = rows[0][1]
    check_columns(header, f"The sample {path}")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise DataError(f"The sample {path}, row {line}: {len(cells)} cells under {len(header)} columns; mend it.")
    id_columns = [index for index, name in enumerate(header) if role_of(name) == "image"]
    return Sample(path, header, rows[1:], delimiter, id_columns[0] if id_columns else 0)


def are_whole(cells: list[str]) -> bool:
    """Whether all cells are whole numbers; False if there are none."""
    return bool(cells) and all(cell.strip().isascii() and cell.strip().isdigit() for cell in cells)


def are_probabilities(cells: list[str]) -> bool:
    """Whether all cells are numbers from 0 to 1; False if there are none."""
    return bool(cells) and all(0 <= parse_number(cell) <= 1 for cell in cells)


def string_groups(cell: str, size: int) -> list[list[str]]:
    """Split a cell into boxes of `size` words; the last may be short."""
    words = cell.split()
    return [words[start : start + size] for start in range(0, len(words), size)]


def string_size(cells: list[str]) -> int | None:
    """Return the words a box: 6 with a label, 5 without; None where both or neither fit."""
    sizes = []
    for size in (5, 6):
        boxes = [
            [parse_number(word) for word in box[size - 5 :]] for cell in cells for box in string_groups(cell, size)
        ]
        if boxes and all(len(box) == 5 and 0 <= box[0] <= 1 and not any(map(math.isnan, box)) for box in boxes):
            sizes.append(size)
    return sizes[0] if len(sizes) == 1 else None
