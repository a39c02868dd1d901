"""Whether a leaderboard will take a submission: every fault, with its row, before it is uploaded.

The sample submission is the rule: its header, its images, its classes, and what kind of value each column holds
(see sample.Columns). Rows may have any order, and an image any number of rows if each holds a box.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from tropho.errors import DataError
from tropho.submission.box_layouts import string_groups, string_size
from tropho.submission.layout_types import are_probabilities, are_whole, number
from tropho.submission.sample_file import CORNERS, Columns, Sample, csv_rows, read_sample, repeated

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
    delimiter: str
    columns: Columns
    images: dict[str, int]  # the sample's images and the row where each stands first
    classes: list[str]  # empty: any class will do
    whole: bool  # labels are whole numbers
    numbers: frozenset[str]  # columns of numbers
    shares: frozenset[str]  # those of them from 0 to 1
    words: int | None  # of a box in the column of all boxes; None = unknown
    sizes: dict[str, tuple[float, float]]  # width and height of the images that are known, in pixels
    negative: str

    @property
    def boxed(self) -> bool:
        """Whether each row holds a box."""
        return bool(self.columns.sides)


def check_submission(
    submission: Path,
    sample: Path | Sample,
    sizes: pd.DataFrame | None = None,
    negative: str = NEGATIVE,
    labels: Iterable[str] = (),
) -> list[Fault]:
    """Every fault of a submission: those of the rows in their order, then those of the whole.

    Args:
        submission: the CSV to be checked.
        sample: the competition's sample submission.
        sizes: columns image_id, width, height; boxes must lie within (xmax <= width). None = sizes unknown.
        negative: the class that says that nothing is there: one row an image, with the box 0, 0, 0, 0.
        labels: labels that are allowed beside those that the sample shows; without them, a sample that shows a
            single one allows any.

    Raises:
        DataError: a file is absent, or the sample can't be used.
    """
    if not submission.is_file():
        raise DataError(f"{submission} is not there; `tropho submit TASK` writes it.")
    known = sample if isinstance(sample, Sample) else read_sample(sample)
    return list(_Check(_rules(known, sizes, negative, list(labels))).faults(submission))


def _rules(sample: Sample, sizes: pd.DataFrame | None, negative: str, labels: list[str]) -> Rules:
    columns = sample.columns
    single = columns.others[0] if len(columns.others) == 1 and not columns.label and not columns.score else None
    value = columns.label or single
    shown = sample.cells(value) if value else []
    free = None  # the column that may hold a label or a probability, as far as the sample tells
    if value and not columns.sides and not set(labels) & set(shown):
        if are_probabilities(shown) and not all(number(cell).is_integer() for cell in shown):
            value = None  # a probability under whatever name
        elif (value == single and not labels and are_whole(shown)) or (
            are_probabilities(shown) and not are_whole(shown)
        ):
            value, free = None, value
    others = [name for name in sample.header if name not in {columns.image, value, *columns.sides.values()}]
    shares = {
        name for name in others if name != free and (name == columns.score or are_probabilities(sample.cells(name)))
    }
    distinct = set(shown) if value else set()
    known = {}
    if sizes is not None:
        complete = sizes.dropna(subset=["width", "height"])
        pairs = zip(complete["width"].astype(float), complete["height"].astype(float), strict=True)
        known = dict(zip(complete["image_id"], pairs, strict=True))
    return Rules(
        header=sample.header,
        delimiter=sample.delimiter,
        columns=replace(columns, label=value),
        images=sample.ids,
        classes=sorted(distinct | set(labels)) if labels or len(distinct) > 1 else [],
        whole=are_whole(shown) and value is not None,
        numbers=frozenset({*shares, *columns.sides.values(), *([free] if free else [])}),
        shares=frozenset(shares),
        words=string_size(sample.cells(columns.strings)) if columns.strings else None,
        sizes=known,
        negative=negative,
    )


@dataclass
class _Check:
    """One pass over a submission."""

    rules: Rules
    first_row: dict[str, int] = field(default_factory=dict)  # of every image
    first_negative: dict[str, int] = field(default_factory=dict)

    def faults(self, path: Path) -> Iterator[Fault]:
        line = 0
        try:
            rows = csv_rows(path, self.rules.delimiter)
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
        if self.rules.columns.image in header:
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
        twice = repeated(header)
        if twice:
            yield Fault(1, "", f"{twice}.")
        if sorted(header) == sorted(expected):
            yield Fault(1, "", f"the columns are in another order; it must be {right}.")

    def _row(self, line: int, cells: dict[str, str]) -> Iterator[Fault]:
        rules, columns = self.rules, self.rules.columns
        numbers: dict[str, float] = {}
        for name, cell in cells.items():
            if cell.strip():
                yield from self._number(line, name, cell, numbers)
            elif name != columns.strings:  # an image without boxes
                yield Fault(line, name, "the cell is empty.")
        image, label = cells.get(columns.image, ""), cells.get(columns.label or "", "")
        if image.strip():
            yield from self._image(line, image)
        if label.strip():
            yield from self._label(line, label)
        if columns.strings and cells.get(columns.strings):
            yield from self._strings(line, image, cells[columns.strings])
        if rules.boxed:
            box = self._corners(numbers)
            yield from self._negative(line, image, numbers) if label == rules.negative else self._box(line, image, box)

    def _number(self, line: int, name: str, cell: str, numbers: dict[str, float]) -> Iterator[Fault]:
        """Faults of a cell that must be a number; a number goes into `numbers`."""
        if name not in self.rules.numbers:
            return
        value = number(cell)
        if not math.isfinite(value):
            yield Fault(line, name, f"'{cell}' is not a finite number.")
            return
        numbers[name] = value
        if name in self.rules.shares and not 0 <= value <= 1:
            yield Fault(line, name, f"{cell} is outside 0..1.")

    def _label(self, line: int, label: str) -> Iterator[Fault]:
        classes, column = self.rules.classes, self.rules.columns.label or ""
        if classes and label not in classes:
            near = get_close_matches(label, classes, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"the classes are {', '.join(classes)}."
            yield Fault(line, column, f"unknown class '{label}'; {hint}")
        elif not classes and self.rules.whole and not are_whole([label]):
            yield Fault(line, column, f"'{label}' is not a whole number, and the sample's labels are.")

    def _strings(self, line: int, image: str, cell: str) -> Iterator[Fault]:
        """Faults of a cell that holds all boxes of an image."""
        column, words = self.rules.columns.strings or "", self.rules.words
        if words is None:
            return
        for box in string_groups(cell, words):
            values = [number(word) for word in box[words - 5 :]]
            if len(box) < words or not all(map(math.isfinite, values)):
                yield Fault(line, column, f"'{' '.join(box)}' is not a box of {words} words, all but a label numbers.")
                return
            if words == 6 and self.rules.classes and box[0] not in self.rules.classes:
                yield Fault(line, column, f"unknown class '{box[0]}'; they are {', '.join(self.rules.classes)}.")
            if not 0 <= values[0] <= 1:
                yield Fault(line, column, f"the confidence {box[words - 5]} is outside 0..1.")
            x, y, right, bottom = values[1:]
            size = (0.0, 0.0) if words == 6 else (x, y)
            corners = dict(zip(CORNERS, (x, y, right + size[0], bottom + size[1]), strict=True))
            yield from (replace(fault, column=column) for fault in self._box(line, image, corners))

    def _corners(self, numbers: dict[str, float]) -> dict[str, float]:
        """The box's sides by CORNERS, as far as its cells are numbers."""
        sides = {side: numbers[name] for side, name in self.rules.columns.sides.items() if name in numbers}
        if "width" not in self.rules.columns.sides:
            return sides
        ends = {"xmin": ["x"], "ymin": ["y"], "xmax": ["x", "width"], "ymax": ["y", "height"]}
        return {side: sum(sides[each] for each in parts) for side, parts in ends.items() if set(parts) <= set(sides)}

    def _image(self, line: int, image: str) -> Iterator[Fault]:
        name = self.rules.columns.image
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
            column = self.rules.columns.label or ""
            yield Fault(line, column, f"image '{image}' already has a {negative} row, in row {first}.")
        for name in self.rules.columns.sides.values():
            if numbers.get(name, 0.0) != 0:
                yield Fault(line, name, f"it is {numbers[name]:g} in a {negative} row; its box must be 0,0,0,0.")

    def _box(self, line: int, image: str, box: dict[str, float]) -> Iterator[Fault]:
        """Faults of a box, whose sides are named as in CORNERS; unknown ones are absent."""
        names = {side: self.rules.columns.sides.get(side, side) for side in CORNERS}
        width, height = self.rules.sizes.get(image, (math.inf, math.inf))
        for axis, size, long_side in (("x", width, "width"), ("y", height, "height")):
            low, high = box.get(f"{axis}min", 0.0), box.get(f"{axis}max", math.inf)
            least, most = names[f"{axis}min"], names[f"{axis}max"]
            if low > high:
                yield Fault(line, least, f"{least} {low:g} is above {most} {high:g}.")
            if low < 0:
                yield Fault(line, least, f"{low:g} is outside the image; it begins at 0.")
            if size < high < math.inf:
                yield Fault(line, most, f"{high:g} is outside the image; its {long_side} is {size:g}.")

    def _missing(self) -> Iterator[Fault]:
        for image, line in self.rules.images.items():
            if image not in self.first_row:
                message = f"image '{image}' is missing; it stands in row {line} of the sample."
                yield Fault(None, self.rules.columns.image, message)
