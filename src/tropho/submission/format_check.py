"""Check a submission before it is uploaded: every error with its row.

The sample submission is the rule: its header, images, classes, and kinds of values. Rows may have any order, and an
image any number of rows if each holds a box.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from tropho.errors import DataError
from tropho.submission.sample_file import (
    CORNERS,
    Sample,
    are_probabilities,
    are_whole,
    csv_rows,
    read_sample,
    string_groups,
    string_size,
)
from tropho.tables import parse_number

NEGATIVE = "NEG"


@dataclass(frozen=True)
class FormatError:
    """One reason for refusal."""

    row: int | None  # line of the file, 1-based, header included; None for what is in no line, such as a missing image
    column: str  # its name; empty where the whole row or file is meant
    message: str  # what is wrong and what would be right

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row is not None else []
        where += [self.column] if self.column else []
        return f"{', '.join(where)}: {self.message}" if where else self.message


Errors = Iterator[FormatError]


def check_submission(
    submission: Path,
    sample: Path | Sample,
    sizes: pd.DataFrame | None = None,
    negative: str = NEGATIVE,
    labels: Iterable[str] = (),
) -> list[FormatError]:
    """List every error of a submission: those of the rows in their order, then those of the whole file.

    Args:
        submission: the CSV to be checked.
        sample: the competition's sample submission.
        sizes: columns image_id, width, height (pixels); boxes must lie within (xmax <= width). None = unknown.
        negative: the class that says that nothing is there: one row an image, with the box 0, 0, 0, 0.
        labels: labels that are allowed beside those of the sample; without them, a sample that shows a single one
            allows any.

    Raises:
        DataError: a file is absent, or the sample can't be used.
    """
    if submission.is_dir():
        raise DataError(f"{submission} is a folder; name a CSV file, such as one in it.")
    if not submission.is_file():
        raise DataError(f"{submission} is not there; `tropho submit TASK` writes it.")
    sample = sample if isinstance(sample, Sample) else read_sample(sample)
    return list(_Check(sample, sizes, negative, list(labels)).errors(submission))


def verdict(faults: list[FormatError]) -> str:
    """Sum up at least one result of `check_submission`; a fault of the header is said again, below those of the rows.

    Other faults often follow from that of the header, whose lines a long list moves out of sight.
    """
    first = [fault for fault in faults if fault.row == 1]
    text = f"{len(faults)} fault(s); the leaderboard would refuse it."
    return f"{text} Correct the header first: {first[-1].message}" if 0 < len(first) < len(faults) else text


class _Check:
    """One pass over a submission; arguments as of `check_submission`.

    Attributes:
        columns: of the sample; `label` is None where the sample shows probabilities, or numbers of either kind.
        images: line of its first row in the sample, by image.
        classes: allowed labels; empty = any.
        whole: labels are whole numbers.
        numbers: columns of numbers, and `probabilities` those of them from 0 to 1.
        words: words of a box in the column of all boxes; None = unknown.
        first_row, first_negative: line of an image's first row, and of its first negative row.
    """

    def __init__(self, sample: Sample, sizes: pd.DataFrame | None, negative: str, labels: list[str]) -> None:
        columns = sample.columns
        single = columns.others[0] if len(columns.others) == 1 and not columns.label and not columns.score else None
        label = columns.label or single
        shown = sample.cells(label) if label else []
        unclear = None  # a column that may hold a label or a probability
        if label and not columns.sides and not set(labels) & set(shown):
            are_fractions = are_probabilities(shown) and not are_whole(shown)
            if are_probabilities(shown) and not all(parse_number(cell).is_integer() for cell in shown):
                label = None  # a probability under whatever name
            elif are_fractions or (label == single and not labels and are_whole(shown)):
                label, unclear = None, label
        others = {*sample.header} - {columns.image, label, unclear, *columns.sides.values()}
        distinct = set(shown) if label else set()
        self.sample, self.negative, self.columns = sample, negative, replace(columns, label=label)
        self.images = sample.ids
        self.classes = sorted(distinct | set(labels)) if labels or len(distinct) > 1 else []
        self.whole = are_whole(shown) and label is not None
        self.probabilities = {name for name in others if name == columns.score or are_probabilities(sample.cells(name))}
        self.numbers = {*self.probabilities, *columns.sides.values(), unclear}
        self.words = string_size(sample.cells(columns.strings)) if columns.strings else None
        known = pd.DataFrame() if sizes is None else sizes[["image_id", "width", "height"]].dropna()
        self.sizes = {
            image_id: (float(width), float(height)) for image_id, width, height in known.itertuples(index=False)
        }
        self.first_row: dict[str, int] = {}
        self.first_negative: dict[str, int] = {}

    def errors(self, path: Path) -> Errors:
        line = 0
        try:
            rows = csv_rows(path, self.sample.delimiter)
            line, header = next(rows, (0, []))
            if not header:
                yield FormatError(1, "", "the file is empty.")
                return
            yield from self._check_header(header)
            if not set(header) & set(self.sample.header):
                return
            for line, cells in rows:
                if len(cells) == len(header):
                    yield from self._check_row(line, dict(zip(header, cells, strict=True)))
                else:
                    yield FormatError(line, "", f"it has {len(cells)} cells where the header has {len(header)}.")
        except (UnicodeDecodeError, csv.Error) as error:
            why = f"CSV: {error}" if isinstance(error, csv.Error) else "UTF-8 text; save it as CSV in UTF-8"
            yield FormatError(line + 1, "", f"from here on the file is not {why}.")
            return
        for image, sample_line in self.images.items() if self.columns.image in header else []:
            if image not in self.first_row:
                message = f"image '{image}' is missing; it stands in row {sample_line} of the sample."
                yield FormatError(None, self.columns.image, message)

    def _check_header(self, header: list[str]) -> Errors:
        expected, correct = self.sample.header, ",".join(self.sample.header)
        if not set(header) & set(expected):
            hint = next((f" (are its cells parted by {char!r}?)" for char in ";\t|" if char in header[0]), "")
            yield FormatError(1, "", f"the file has no header, or is not CSV{hint}; it must begin with {correct}.")
        elif header != expected:
            for name in [name for name in expected if name not in header]:
                yield FormatError(1, name, "the column is missing.")
            yield FormatError(1, "", f"the header is {','.join(header)}; it must be {correct}.")

    def _check_row(self, line: int, cells: dict[str, str]) -> Errors:
        columns = self.columns
        numbers = {name: parse_number(cell) for name, cell in cells.items() if name in self.numbers}
        yield from self._check_cells(line, cells, numbers)
        image, label = cells.get(columns.image, ""), cells.get(columns.label or "", "")
        if image.strip():
            yield from self._check_image(line, image)
        if label.strip():
            yield from self._check_label(line, label)
        if columns.strings and cells.get(columns.strings):
            yield from self._check_strings(line, image, cells[columns.strings], columns.strings)
        sides = [numbers.get(name, math.nan) for name in columns.sides.values()]
        if sides and label == self.negative:
            yield from self._check_negative(line, image, numbers)
        elif sides:
            yield from self._check_box(line, image, _corners(sides, "width" in columns.sides))

    def _check_cells(self, line: int, cells: dict[str, str], numbers: dict[str, float]) -> Errors:
        for name, cell in cells.items():
            if not cell.strip():
                if name != self.columns.strings:  # an image without boxes
                    yield FormatError(line, name, "the cell is empty.")
            elif math.isnan(numbers.get(name, 0.0)):
                yield FormatError(line, name, f"'{cell}' is not a finite number.")
            elif name in self.probabilities and not 0 <= numbers[name] <= 1:
                yield FormatError(line, name, f"{cell} is outside 0..1.")

    def _check_image(self, line: int, image: str) -> Errors:
        name, known = self.columns.image, self.images
        if image not in known:
            full = next((image + ending for ending in (".jpg", ".png") if image + ending in known), None)
            hint = f"did you mean '{full}'?" if full else "the sample has no such image."
            yield FormatError(line, name, f"unknown image '{image}'; {hint}")
        first = self.first_row.setdefault(image, line)
        if first != line and not self.columns.sides:
            yield FormatError(line, name, f"image '{image}' already stands in row {first}; one row an image.")

    def _check_label(self, line: int, label: str) -> Errors:
        classes, column = self.classes, self.columns.label or ""
        if classes and label not in classes:
            close = get_close_matches(label, classes, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"the classes are {', '.join(classes)}."
            yield FormatError(line, column, f"unknown class '{label}'; {hint}")
        elif not classes and self.whole and not are_whole([label]):
            yield FormatError(line, column, f"'{label}' is not a whole number, and the sample's labels are.")

    def _check_strings(self, line: int, image: str, cell: str, column: str) -> Errors:
        """Check a cell that holds all boxes of an image."""
        words, classes = self.words or 0, self.classes
        for box in string_groups(cell, words) if words else ():
            values = [parse_number(word) for word in box[words - 5 :]]
            if len(box) < words or any(map(math.isnan, values)):
                message = f"'{' '.join(box)}' is not a box of {words} words, all but a label numbers."
                yield FormatError(line, column, message)
                return
            if words == 6 and classes and box[0] not in classes:
                yield FormatError(line, column, f"unknown class '{box[0]}'; they are {', '.join(classes)}.")
            if not 0 <= values[0] <= 1:
                yield FormatError(line, column, f"the confidence {box[words - 5]} is outside 0..1.")
            yield from self._check_box(line, image, _corners(values[1:], words == 5), column)

    def _check_negative(self, line: int, image: str, numbers: dict[str, float]) -> Errors:
        negative, columns = self.negative, self.columns
        first = self.first_negative.setdefault(image, line)
        if first != line:
            message = f"image '{image}' already has a {negative} row, in row {first}."
            yield FormatError(line, columns.label or "", message)
        for name in columns.sides.values():
            if abs(numbers.get(name, 0.0)) > 0:
                message = f"it is {numbers[name]:g} in a {negative} row; its box must be 0,0,0,0."
                yield FormatError(line, name, message)

    def _check_box(self, line: int, image: str, corners: list[float], column: str = "") -> Errors:
        """Check a box of xmin, ymin, xmax, ymax, NaN if unknown; `column` holds it whole, "" = a column a side."""
        names = [self.columns.sides.get(side, side) for side in CORNERS]
        size = self.sizes.get(image, (math.inf, math.inf))
        for axis, size_name in enumerate(("width", "height")):
            (low, high), (low_name, high_name) = corners[axis::2], names[axis::2]
            if low > high:
                yield FormatError(line, column or low_name, f"{low_name} {low:g} is above {high_name} {high:g}.")
            if low < 0:
                yield FormatError(line, column or low_name, f"{low:g} is outside the image; it begins at 0.")
            if size[axis] < high:
                message = f"{high:g} is outside the image; its {size_name} is {size[axis]:g}."
                yield FormatError(line, column or high_name, message)


def _corners(sides: list[float], has_size: bool) -> list[float]:
    """Convert x, y, width, height, or the corners themselves, to xmin, ymin, xmax, ymax."""
    x, y, right, bottom = sides
    return [x, y, x + right, y + bottom] if has_size else sides
