"""One box table: its columns, recognised, and its rows as images, classes and boxes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tropho.data.formats import box_columns
from tropho.data.formats.box_cells import CellBox, boxes_of, label_in
from tropho.data.formats.box_columns import Columns
from tropho.data.formats.csv_table import NAMES_OF_DELIMITERS, CsvTable, number, read_csv
from tropho.data.formats.image_files import SUBSET_WORDS, Match, subset_of
from tropho.data.formats.subset_folders import subset_of_path
from tropho.errors import DataError, UsageError

NO_MATCH = Match("", ())
SAMPLE = 300
"""Rows by which the column of the image is chosen where several may hold it."""


@dataclass(eq=False)
class Row:
    """What one line says.

    Attributes:
        table: index of its table.
        subset: train | validation | test.
        searched: the subset whose images are meant; empty where nothing but the lack of another word says train.
        image: how it calls the image; empty where the cell is.
        label: the class; empty where none is named.
        boxes: none where the cells are empty.
        size: width and height of the image in pixels, where the row states them.
        fault: why it can't be used; empty if it can.
        match: the file that `image` means.
        corners: (n, 4) float64 xmin, ymin, xmax, ymax in pixels of `boxes`; NaN where the image's size is unknown.
    """

    table: int
    line: int
    subset: str
    image: str
    label: str = ""
    boxes: list[CellBox] = field(default_factory=list)
    size: tuple[float, float] | None = None
    fault: str = ""
    searched: str = ""
    match: Match = NO_MATCH
    corners: np.ndarray | None = None


class BoxTable:
    """A table whose columns are recognised.

    Args:
        path, name: the file, and its path below data/raw/T.
        subset: train | validation | test, of rows that do not say otherwise.
        given: audit.columns.
        known: whether there is an image that a label file in the same folder calls so.

    Raises:
        UsageError: `given` names what isn't there.
        DataError: the file is no table, or a column that is needed is not recognised.
    """

    def __init__(self, path: Path, name: str, subset: str, given: dict[str, str], known: Callable[[str], bool]) -> None:
        self.csv: CsvTable = read_csv(path, name)
        self.name, self.subset = name, subset
        self.searched = subset if subset != "train" else subset_of(path.stem) or subset_of_path(name)
        rows = self.csv.rows
        try:
            implied = box_columns.implied_header(rows[0][1]) if rows else None
        except DataError as error:
            raise DataError(f"{name}: {error}.") from None
        header = implied or (rows[0][1] if rows else [])
        self.rows = rows if implied else rows[1:]
        self.columns: Columns = box_columns.recognise(header, given, name, strict=subset != "test")
        self.decimal_comma = self.csv.delimiter != ","
        self.image = self._image_column(known)
        self.label = self._label_column()
        self.subset_at = self._subset_column()
        if not self.columns.layout and subset != "test":
            missing = next(
                (side for side in ("xmin", "ymin", "xmax", "ymax") if side not in map(str.lower, header)), ""
            )
            raise DataError(
                f"{name} has no column '{missing}', nor x, y, width, height or bbox; its headings are "
                f"{', '.join(header)}; say in audit.columns which of them hold the box."
            )

    def parsed(self, index: int) -> Iterator[Row]:
        """Every row, those that can't be used with their fault.

        Args:
            index: of the table, which each row keeps.
        """
        width = len(self.columns.header)
        before = 1
        for line, cells in self.rows:
            if not any(cells[width:]):  # some programs end each row with a delimiter
                del cells[width:]
            if len(cells) == width:
                yield self._row(Row(index, line, self.subset, cells[self.image], searched=self.searched), cells)
            else:
                image = cells[self.image] if len(cells) > self.image else ""
                yield Row(
                    index, line, self.subset, image, searched=self.searched, fault=self._miscount(cells, before, line)
                )
            before = line

    def facts(self, unit: str, form: str) -> dict[str, Any]:
        """What was recognised, for the summary."""
        columns, header = self.columns, self.columns.header
        at = {"image": self.image, **({} if self.label is None else {"label": self.label}), **columns.at}
        named = {role: header[place] for role, place in at.items()}
        boxes = {"boxes": form, "unit": unit} if columns.layout else {}
        return {"delimiter": NAMES_OF_DELIMITERS[self.csv.delimiter], **boxes, **named}

    def unused(self) -> list[str]:
        """Headings of the columns that are not read."""
        used = {self.image, self.label, *self.columns.at.values()}
        return [heading for place, heading in enumerate(self.columns.header) if place not in used and heading]

    def drop_image_size(self) -> None:
        """Forget the columns width and height: they turned out to be the boxes'."""
        for role in self.columns.maybe_image_size:
            self.columns.at.pop(role, None)

    def _row(self, row: Row, cells: list[str]) -> Row:
        if not row.image:
            row.fault = f"The cell {self.columns.header[self.image]} is empty"
            return row
        if self.subset_at is not None and cells[self.subset_at]:
            row.subset = SUBSET_WORDS.get(cells[self.subset_at].lower(), "")
            if not row.subset:
                row.subset = self.subset
                row.fault = f"'{cells[self.subset_at]}' is neither train, validation nor test"
                return row
            row.searched = row.subset
        row.label = label_in(cells[self.label]) if self.label is not None else ""
        sides = [self.columns.at.get(f"image_{side}") for side in ("width", "height")]
        size = [number(cells[place], self.decimal_comma) if place is not None else None for place in sides]
        if size[0] and size[1] and min(size[0], size[1]) >= 1:
            row.size = size[0], size[1]
        try:
            row.boxes = boxes_of(cells, self.columns, self.decimal_comma)
        except ValueError as error:
            row.fault = str(error)
        return row

    def _miscount(self, cells: list[str], before: int, line: int) -> str:
        fault = f"{len(cells)} cells under {len(self.columns.header)} columns"
        if line > before + 1 and any("\n" in cell for cell in cells):
            return f"{fault}, from line {before + 1} on: a quotation mark is not closed"
        if len(cells) > len(self.columns.header) and not self.decimal_comma:
            return f"{fault}; a comma in a number or a name belongs in quotation marks, or separate the cells by ;"
        return fault

    def _image_column(self, known: Callable[[str], bool]) -> int:
        places = self.columns.images
        if not places:
            raise DataError(
                f"{self.name} has no column 'Image_ID', filename or the like; its headings are "
                f"{', '.join(self.columns.header)}; name the right one in audit.columns: {{image: ...}}."
            )
        if len(places) == 1:
            return places[0]
        found = {place: sum(map(known, self.values(place)[:SAMPLE])) for place in places}
        return max(places, key=lambda place: found[place])

    def _label_column(self) -> int | None:
        """The first column that may name the class and holds text; else the first that holds anything."""
        places = [place for place in self.columns.labels if place not in {self.image, *self.columns.at.values()}]
        places = [place for place in places if not _all_empty_dictionaries(self.values(place))]
        filled = [place for place in places if any(self.values(place))]
        texts = [place for place in filled if any(cell and number(cell) is None for cell in self.values(place))]
        return next(iter([*texts, *filled, *places]), None)

    def _subset_column(self) -> int | None:
        """The column of subsets; one that was only guessed must hold nothing but names of subsets."""
        place = self.columns.at.get("subset")
        if place is None or "subset" in self.columns.given:
            return place
        if {cell.lower() for cell in self.values(place)} - set(SUBSET_WORDS) - {""}:
            del self.columns.at["subset"]
            return None
        return place

    def values(self, place: int) -> list[str]:
        """The cells of a column."""
        return [cells[place] for _, cells in self.rows if len(cells) > place]


def _all_empty_dictionaries(cells: list[str]) -> bool:
    """Whether a column of dictionaries (VIA's region_attributes) never names a class."""
    return any(cells) and not any(label_in(cell) for cell in cells)


def only_class(tables: list[BoxTable], classes: list[str] | None) -> str:
    """The class of every box of tables that have no column for it; empty where they have one.

    Raises:
        UsageError: a column of text that was not recognised may hold the class.
    """
    without = [table for table in tables if table.label is None and table.subset != "test"]
    if not without:
        return ""
    if classes is not None and len(classes) == 1:
        return classes[0]
    for table in without:
        for heading in table.unused():
            cells = table.values(table.columns.header.index(heading))
            texts = {cell for cell in cells if cell and number(cell, True) is None}
            if 1 < len(texts) <= len(cells) / 2:
                raise UsageError(
                    f"{table.name} has no column that is recognised as the class; is it '{heading}'? Then set "
                    f"audit.columns: {{label: {heading}}}; if all boxes are of one class, name it in audit.classes."
                )
    return "object"
