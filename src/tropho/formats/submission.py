"""Whether a leaderboard will take a submission: every fault, with its row, before it is uploaded.

The sample submission is the rule: its header, its images and its classes. Columns are known by their names:
the first holds the image; `class` or `label` the class; `confidence`, `score`, `p_...` a probability; `xmin`,
`ymin`, `xmax` and `ymax` a box. Rows may have any order, and an image any number of rows if they hold boxes.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from tropho.errors import DataError
from tropho.tables import BOX, check_columns, read_csv

NEGATIVE = "NEG"


@dataclass(frozen=True)
class Fault:
    """One reason for refusal.

    Attributes:
        row: line of the file, 1-based, header included; None for what is in no line, such as a missing image.
        column: its column's name; empty where the whole row or file is meant.
        message: what is wrong and what would be right.
    """

    row: int | None
    column: str
    message: str

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row is not None else []
        where += [self.column] if self.column else []
        return f"{', '.join(where)}: {self.message}" if where else self.message


@dataclass(frozen=True)
class Rules:
    """What a submission must keep to."""

    header: list[str]
    images: dict[str, int]  # the sample's images and the row where each stands first
    classes: list[str]  # empty: any class will do
    sizes: dict[str, tuple[float, float]]  # width and height of the images that are known, in pixels
    negative: str

    @property
    def boxed(self) -> bool:
        """Whether rows hold boxes."""
        return set(BOX) <= set(self.header)


def check_submission(
    submission: Path, sample: Path, sizes: pd.DataFrame | None = None, negative: str = NEGATIVE
) -> list[Fault]:
    """Every fault of a submission: those of the rows in their order, then those of the whole.

    Args:
        submission: the CSV to be checked.
        sample: the competition's SampleSubmission.csv.
        sizes: columns image_id, width, height; boxes must lie within (xmax <= width). None = sizes unknown.
        negative: the class that says that nothing is there: one row an image, with the box 0, 0, 0, 0.

    Raises:
        DataError: a file is absent, or the sample can't be used.
    """
    if not submission.is_file():
        raise DataError(f"{submission} is not there; `tropho submit TASK` writes it.")
    return list(_Check(_rules(sample, sizes, negative)).faults(submission))


def read_sizes(path: Path) -> pd.DataFrame:
    """Read a CSV with the columns image_id, width and height.

    Raises:
        DataError: the file is no such table, a column stands there twice, or a size is no number; it names the row.
    """
    columns = ["image_id", "width", "height"]
    try:
        table = read_csv(path, {"image_id": "string"})[columns]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is no table with the columns {', '.join(columns)}: {error}.") from error
    for side in ("width", "height"):
        number = pd.to_numeric(table[side], errors="coerce")
        if (wrong := number.isna() & table[side].notna()).any():
            row = int(wrong.to_numpy().argmax())
            raise DataError(
                f"{path}, row {row + 2}: {side} '{table[side].iloc[row]}' is no number; write 12.5, not 12,5."
            )
        table[side] = number
    return table


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank; raises csv.Error or UnicodeDecodeError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1


def _rules(sample: Path, sizes: pd.DataFrame | None, negative: str) -> Rules:
    try:
        rows = list(_rows(sample))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"The sample {sample} can't be read: {error}.") from error
    if len(rows) < 2:
        raise DataError(f"The sample {sample} has no rows; give the competition's own SampleSubmission.csv.")
    header = rows[0][1]
    check_columns(header, f"The sample {sample}")
    images: dict[str, int] = {}
    for line, cells in rows[1:]:
        images.setdefault(cells[0], line)
    place = next((index for index, name in enumerate(header) if name in {"class", "label"}), None)
    named = [cells[place] for _, cells in rows[1:] if len(cells) > place] if place is not None else []
    known = {}
    if sizes is not None:
        complete = sizes.dropna(subset=["width", "height"])
        pairs = zip(complete["width"].astype(float), complete["height"].astype(float), strict=True)
        known = dict(zip(complete["image_id"], pairs, strict=True))
    return Rules(header, images, sorted({each for each in named if each}), known, negative)


@dataclass
class _Check:
    """One pass over a submission."""

    rules: Rules
    first_row: dict[str, int] = field(default_factory=dict)  # of every image
    first_negative: dict[str, int] = field(default_factory=dict)

    def faults(self, path: Path) -> Iterator[Fault]:
        line = 0
        try:
            rows = _rows(path)
            line, header = next(rows, (0, []))
            if not header:
                yield Fault(1, "", "the file is empty.")
                return
            yield from self._header(header)
            if not set(header) & set(self.rules.header):
                return
            for line, cells in rows:
                if len(cells) == len(header):
                    yield from self._row(line, dict(zip(header, cells, strict=True)))
                else:
                    yield Fault(line, "", f"it has {len(cells)} cells where the header has {len(header)}.")
        except UnicodeDecodeError:
            yield Fault(line + 1, "", "from here on the file is not UTF-8 text; save it as CSV in UTF-8.")
            return
        except csv.Error as error:
            yield Fault(line + 1, "", f"from here on the file is not CSV: {error}.")
            return
        if self.rules.header[0] in header:
            yield from self._missing()

    def _header(self, header: list[str]) -> Iterator[Fault]:
        expected = self.rules.header
        if header == expected:
            return
        right = ",".join(expected)
        if not set(header) & set(expected):
            sign = next((f" (are its cells parted by {each!r}?)" for each in ";\t|" if each in header[0]), "")
            yield Fault(1, "", f"the file has no header, or is not CSV{sign}; it must begin with {right}.")
            return
        for name in sorted(set(expected) - set(header), key=expected.index):
            near = get_close_matches(name.lower(), [each.lower() for each in set(header) - set(expected)], 1, 0.5)
            hint = f"; is it what is called '{near[0]}'?" if near else "."
            yield Fault(1, name, f"the column is missing{hint}")
        for name in sorted(set(header) - set(expected), key=header.index):
            yield Fault(1, name, f"no such column is wanted; the header must be {right}.")
        for name in sorted({each for each in header if header.count(each) > 1}):
            yield Fault(1, name, f"the column stands there {header.count(name)} times.")
        if sorted(header) == sorted(expected):
            yield Fault(1, "", f"the columns are in another order; it must be {right}.")

    def _row(self, line: int, cells: dict[str, str]) -> Iterator[Fault]:
        rules = self.rules
        numbers = {}
        for name, cell in cells.items():
            if cell.strip() == "":
                yield Fault(line, name, "the cell is empty.")
            elif _is_number_column(name):
                number = _number(cell)
                if not math.isfinite(number):
                    yield Fault(line, name, f"'{cell}' is not a finite number.")
                    continue
                numbers[name] = number
                if _is_probability_column(name) and not 0 <= number <= 1:
                    yield Fault(line, name, f"{cell} is outside 0..1.")
        image = cells.get(rules.header[0], "")
        label = next((cells[name] for name in ("class", "label") if name in cells), "")
        if image.strip():
            yield from self._image(line, image)
        if label.strip() and rules.classes and label not in rules.classes:
            near = get_close_matches(label, rules.classes, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"the classes are {', '.join(rules.classes)}."
            yield Fault(line, "class" if "class" in cells else "label", f"unknown class '{label}'; {hint}")
        if rules.boxed:
            negative = label == rules.negative
            yield from self._negative(line, image, numbers) if negative else self._box(line, image, numbers)

    def _image(self, line: int, image: str) -> Iterator[Fault]:
        name = self.rules.header[0]
        if image not in self.rules.images:
            hint = next((f"; did you mean '{image}{end}'?" for end in (".jpg", ".png") if image + end in
                         self.rules.images), "; the sample has no such image.")  # fmt: skip
            yield Fault(line, name, f"unknown image '{image}'{hint}")
        first = self.first_row.setdefault(image, line)
        if first != line and not self.rules.boxed:
            yield Fault(line, name, f"image '{image}' already stands in row {first}; one row an image.")

    def _negative(self, line: int, image: str, numbers: dict[str, float]) -> Iterator[Fault]:
        negative = self.rules.negative
        first = self.first_negative.setdefault(image, line)
        if first != line:
            yield Fault(line, "class", f"image '{image}' already has a {negative} row, in row {first}.")
        for name in BOX:
            if numbers.get(name, 0.0) != 0:
                yield Fault(line, name, f"it is {numbers[name]:g} in a {negative} row; its box must be 0,0,0,0.")

    def _box(self, line: int, image: str, numbers: dict[str, float]) -> Iterator[Fault]:
        width, height = self.rules.sizes.get(image, (math.inf, math.inf))
        for axis, size, long_side in (("x", width, "width"), ("y", height, "height")):
            low, high = numbers.get(f"{axis}min", 0.0), numbers.get(f"{axis}max", math.inf)
            if low > high:
                yield Fault(line, f"{axis}min", f"{axis}min {low:g} is above {axis}max {high:g}.")
            if low < 0:
                yield Fault(line, f"{axis}min", f"{low:g} is outside the image; it begins at 0.")
            if size < high < math.inf:
                yield Fault(line, f"{axis}max", f"{high:g} is outside the image; its {long_side} is {size:g}.")

    def _missing(self) -> Iterator[Fault]:
        for image, line in self.rules.images.items():
            if image not in self.first_row:
                message = f"image '{image}' is missing; it stands in row {line} of the sample."
                yield Fault(None, self.rules.header[0], message)


def _is_probability_column(name: str) -> bool:
    return name in {"confidence", "score"} or name.startswith("p_")


def _is_number_column(name: str) -> bool:
    return name in BOX or _is_probability_column(name)


def _number(cell: str) -> float:
    """The cell's value; NaN where it is no number (float() would take 1_000)."""
    try:
        return float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan
