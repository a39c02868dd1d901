"""The competition's sample submission: found under its usual names, and read as text."""

import csv
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tropho.errors import DataError, UsageError

ID_NAMES = frozenset(
    "imageid image images imagename img imgid imgname imageindex picture photo id ids idcode uid uuid file fileid "  # noqa: SIM905
    "filename filepath path imagepath name key".split()
)
LABEL_NAMES = frozenset(
    "label labels class classid classname classlabel category categoryid target targetlabel prediction predicted "  # noqa: SIM905
    "predictedlabel predictedclass labelname diagnosis".split()
)
SCORE_NAMES = frozenset({"confidence", "conf", "score", "probability", "prob", "proba", "p"})
SIDES = {
    **dict.fromkeys(("xmin", "x1", "left"), "xmin"),
    **dict.fromkeys(("ymin", "y1", "top"), "ymin"),
    **dict.fromkeys(("xmax", "x2", "right"), "xmax"),
    **dict.fromkeys(("ymax", "y2", "bottom"), "ymax"),
    **dict.fromkeys(("w", "width"), "width"),
    **dict.fromkeys(("h", "height"), "height"),
    "x": "x",
    "y": "y",
}
CORNERS = ("xmin", "ymin", "xmax", "ymax")
CORNER_AND_SIZE = ("x", "y", "width", "height")

_NAME = re.compile(r"(sample|example)submission|submission(format|sample|template|example)")


@dataclass(frozen=True)
class Columns:
    """What the columns of a sample hold, as far as the sample alone tells; each is a name of its header."""

    image: str
    label: str | None
    score: str | None
    sides: dict[str, str]  # side of the box (CORNERS or CORNER_AND_SIZE) -> column; {} = no boxes
    strings: str | None  # all boxes of an image in one cell
    others: list[str]


@dataclass(frozen=True)
class Sample:
    """A sample submission; every cell is text as it stands in the file."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]  # line of the file, 1-based, and as many cells as the header has
    delimiter: str
    id_column: int

    @property
    def ids(self) -> dict[str, int]:
        """Each image's id, in the order of the file, and the line where it stands first."""
        found: dict[str, int] = {}
        for line, cells in self.rows:
            if cells[self.id_column].strip():
                found.setdefault(cells[self.id_column], line)
        return found

    @property
    def nameless(self) -> list[int]:
        """Lines whose cell of the image is blank; no image can be meant by them."""
        return [line for line, cells in self.rows if not cells[self.id_column].strip()]

    def cells(self, column: str) -> list[str]:
        """The cells of a column that are not blank, in the order of the rows."""
        index = self.header.index(column)
        return [cells[index] for _, cells in self.rows if cells[index].strip()]

    @property
    def columns(self) -> Columns:
        """What the columns hold, by their names; see Columns."""
        image = self.header[self.id_column]
        rest = {name: fold(name) for name in self.header if name != image}
        by_side: dict[str, str] = {}
        for name, folded in rest.items():
            if folded in SIDES:
                by_side.setdefault(SIDES[folded], name)
        sides = next((form for form in (CORNERS, CORNER_AND_SIZE) if set(form) <= set(by_side)), ())
        taken = {side: by_side[side] for side in sides}
        strings = next((name for name, folded in rest.items() if folded in {"predictionstring", "predictions"}), None)
        label = next((name for name, folded in rest.items() if folded in LABEL_NAMES), None)
        score = next((name for name, folded in rest.items() if folded in SCORE_NAMES), None)
        known = {label, score, strings, *taken.values()}
        return Columns(image, label, score, taken, strings, [name for name in rest if name not in known])


def fold(text: str) -> str:
    """The text without case, spaces, underscores and hyphens, in Unicode's composed form."""
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", text).casefold())


def is_sample(name: str) -> bool:
    """Whether a file is named like a sample submission: sample_submission.csv, SampleSubmission.csv, and so on."""
    stem, ending = os.path.splitext(name.lower())  # noqa: PTH122
    return ending == ".csv" and _NAME.search(re.sub(r"[^a-z0-9]", "", stem)) is not None


def find_sample(raw: Path, named: str | None = None) -> Path | None:
    """The sample submission in `raw` or any folder of it; None if there is none.

    Args:
        raw: folder of the task's files.
        named: its path below `raw`, where the settings name it.

    Raises:
        UsageError: there is no file of the name that the settings give.
        DataError: there are several, and they differ.
    """
    if named is not None:
        if not (raw / named).is_file():
            raise UsageError(f"audit.sample: there is no file '{named}' in {raw}.")
        return raw / named
    found = sorted(
        (path for path in raw.rglob("*.[cC][sS][vV]") if is_sample(path.name) and not _hidden(path.relative_to(raw))),
        key=lambda path: (len(path.parts), path),
    )
    if len({path.read_bytes() for path in found}) > 1:
        names = " and ".join(path.relative_to(raw).as_posix() for path in found)
        raise DataError(f"{raw} holds several sample submissions, {names}; name the right one in audit.sample.")
    return found[0] if found else None


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank; raises csv.Error or UnicodeDecodeError."""
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
        DataError: it can't be read as CSV, has no rows, two equal columns, or a row with too many or few cells.
    """
    try:
        delimiter = _delimiter(path)
        rows = list(csv_rows(path, delimiter))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"The sample {path} can't be read: {error}.") from error
    if len(rows) < 2:
        raise DataError(f"The sample {path} has no rows; give the competition's own sample submission.")
    header = rows[0][1]
    twice = repeated(header)
    if twice:
        raise DataError(f"The sample {path}: {twice}; give the competition's own sample submission.")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise DataError(f"The sample {path}, row {line}: {len(cells)} cells under {len(header)} columns; mend it.")
    named = [index for index, name in enumerate(header) if fold(name) in ID_NAMES]
    return Sample(path, header, rows[1:], delimiter, named[0] if named else 0)


def repeated(header: list[str]) -> str | None:
    """A clause that names the first column whose name stands there twice; None if there is none."""
    for name in header:
        places = [str(place) for place, each in enumerate(header, 1) if each == name]
        if len(places) > 1:
            return f"columns {' and '.join(places)} are both called '{name}'"
    return None


def _delimiter(path: Path) -> str:
    """The comma, unless the first line has none and is parted by semicolons or tabs."""
    first = next(csv_rows(path), (0, [""]))[1]
    return next((each for each in ";\t" if len(first) == 1 and each in first[0]), ",")
