"""Read one table of labels: recognise its columns, and parse its rows into images, classes and boxes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tropho.data.formats.box_columns import CellBox, parse_row, recognise
from tropho.data.formats.csv_table import DELIMITERS, read_csv
from tropho.data.formats.image_files import SUBSET_WORDS, Match, NamedFiles, subset_of_file
from tropho.errors import DataError, UsageError
from tropho.tables import parse_number

NO_MATCH = Match("", ())
SAMPLE = 300  # rows by which the column of the image is chosen where several may hold it


@dataclass(eq=False)
class Row:
    """One line of a table."""

    table: "LabelTable"  # of the line
    line: int  # 1-based
    subset: str  # train | validation | test
    image: str  # name of the image; empty where the cell is
    searched: str  # the subset whose folders are searched for the image; empty where the file names none
    label: str = ""  # the class; empty where there is none
    boxes: list[CellBox] = field(default_factory=list)  # empty where the cells are
    size: tuple[float, float] | None = None  # width and height of the image in pixels, where the row states them
    fault: str = ""  # why it can't be used; empty if it can
    match: Match = NO_MATCH  # the file that `image` means


class LabelTable:
    """A table whose columns are recognised.

    Args:
        raw: folder of the data set.
        path: below `raw`.
        subset: train | validation | test, of rows that do not say otherwise.
        given: audit.columns.
        on_disk: the images.
        with_boxes: whether rows hold boxes, else a class of the image.
    """

    def __init__(
        self,
        raw: Path,
        path: PurePosixPath,
        subset: str,
        given: dict[str, str],
        on_disk: NamedFiles,
        with_boxes: bool = True,
    ) -> None:
        name = str(path)
        table = read_csv(raw / path, name)
        self.name, self.folder, self.subset, self.delimiter = name, str(path.parent), subset, table.delimiter
        self.searched = subset if subset != "train" else subset_of_file(name)
        header = table.header
        if with_boxes and any(not np.isnan(parse_number(cell)) for cell in header):
            raise DataError(f"{name} has no header ({', '.join(header)}); write one, such as image,class,x1,y1,x2,y2.")
        self.rows = table.rows[1:]
        self.columns = recognise(header, given, name, strict=subset != "test")
        if not with_boxes:
            at = {role: place for role, place in self.columns.at.items() if role == "subset"}
            self.columns = replace(self.columns, layout="", at=at)
        self.decimal_comma = self.delimiter != ","
        self.image = self._image_column(on_disk)
        self.label = self._label_column()
        self._drop_guessed_subset()
        if not with_boxes and self.label is None and subset != "test":
            raise DataError(
                f"{name} has no column for the label, such as 'label'; its headings are {', '.join(header)}; "
                "name the right one in audit.columns: {label: ...}."
            )
        if with_boxes and not self.columns.layout and subset != "test":
            lower = {heading.lower() for heading in header}
            missing = next((side for side in ("xmin", "ymin", "xmax", "ymax") if side not in lower), "")
            raise DataError(
                f"{name} has no column '{missing}', nor x, y, width, height or bbox; its headings are "
                f"{', '.join(header)}; say in audit.columns which of them hold the box."
            )

    def parse(self) -> Iterator[Row]:
        """Yield every row, with its fault if it can't be used."""
        width = len(self.columns.header)
        for line, cells in self.rows:
            if not any(cells[width:]):  # some programs end each row with a delimiter
                del cells[width:]
            image = cells[self.image] if len(cells) > self.image else ""
            row = Row(self, line, self.subset, image, self.searched)
            if len(cells) == width:
                self._parse(row, cells)
            else:
                row.fault = f"{len(cells)} cells under {width} columns"
                if len(cells) > width and not self.decimal_comma:
                    row.fault += (
                        "; a comma in a number or a name belongs in quotation marks, or separate the cells by ;"
                    )
            yield row

    def facts(self, unit: str, form: str) -> dict[str, Any]:
        """Return what was recognised, for the summary."""
        columns, header = self.columns, self.columns.header
        at = {"image": self.image, **({} if self.label is None else {"label": self.label}), **columns.at}
        headings = {role: header[place] for role, place in at.items()}
        boxes = {"boxes": form, "unit": unit} if columns.layout else {}
        return {"delimiter": DELIMITERS[self.delimiter], **boxes, **headings}

    def note(self, facts: dict[str, Any]) -> str:
        """Say what was recognised (result of `facts`), and what is not read."""
        roles = [f"{role} '{text}'" for role, text in facts.items() if role not in {"delimiter", "boxes", "unit"}]
        boxes = f"; boxes are {facts['boxes']} in {facts['unit']}" if "boxes" in facts else ""
        rest = f"; not read: {', '.join(self.unused())}" if self.unused() else ""
        return f"Columns of {self.name}: {', '.join(roles)}{boxes}{rest}."

    def unused(self) -> list[str]:
        """Return the headings of the columns that are not read."""
        used = {self.image, self.label, *self.columns.at.values()}
        return [heading for place, heading in enumerate(self.columns.header) if place not in used and heading]

    def values(self, place: int) -> list[str]:
        """Return the cells of a column."""
        return [cells[place] for _, cells in self.rows if len(cells) > place]

    def _parse(self, row: Row, cells: list[str]) -> None:
        at = self.columns.at
        if not row.image:
            row.fault = f"The cell {self.columns.header[self.image]} is empty"
            return
        subset = cells[at["subset"]] if "subset" in at else ""
        if subset and subset.lower() not in SUBSET_WORDS:
            row.fault = f"'{subset}' is neither train, validation nor test"
            return
        if subset:
            row.subset = row.searched = SUBSET_WORDS[subset.lower()]
        row.label = cells[self.label] if self.label is not None else ""
        if "image_width" in at and "image_height" in at:
            places = at["image_width"], at["image_height"]
            width, height = (parse_number(cells[place], self.decimal_comma) for place in places)
            row.size = (width, height) if width >= 1 and height >= 1 else None
        try:
            row.boxes = parse_row(cells, self.columns, self.decimal_comma)
        except ValueError as error:
            row.fault = str(error)

    def _image_column(self, on_disk: NamedFiles) -> int:
        places = self.columns.images
        if not places:
            raise DataError(
                f"{self.name} has no column 'Image_ID', filename or the like; its headings are "
                f"{', '.join(self.columns.header) or 'none'}; name the right one in audit.columns: {{image: ...}}."
            )
        if len(places) == 1:
            return places[0]

        def count_images(place: int) -> int:
            cells = filter(None, self.values(place)[:SAMPLE])
            return sum(bool(on_disk.find(cell, self.folder).candidates) for cell in cells)

        return max(places, key=count_images)

    def _label_column(self) -> int | None:
        """Return the first column that may name the class and holds text; else the first that holds anything."""
        places = [place for place in self.columns.labels if place not in {self.image, *self.columns.at.values()}]
        filled = [place for place in places if any(self.values(place))]
        texts = [place for place in filled if any(np.isnan(parse_number(cell)) for cell in self.values(place) if cell)]
        return next(iter([*texts, *filled, *places]), None)

    def _drop_guessed_subset(self) -> None:
        """Drop a column of subsets that was only guessed, unless most of its cells are names of subsets."""
        place = self.columns.at.get("subset")
        if place is None or "subset" in self.columns.given:
            return
        cells = list(filter(None, self.values(place)))
        if 2 * sum(cell.lower() in SUBSET_WORDS for cell in cells) < len(cells):
            del self.columns.at["subset"]


def only_class(tables: list[LabelTable], classes: list[str] | None) -> str:
    """Return the class of every box of tables that have no column for it; empty where they have one."""
    without = [table for table in tables if table.label is None and table.subset != "test"]
    if without and classes is not None and len(classes) == 1:
        return classes[0]
    for table in without:
        for heading in table.unused():
            cells = table.values(table.columns.header.index(heading))
            if 1 < len({cell for cell in cells if cell and np.isnan(parse_number(cell, True))}) <= len(cells) / 2:
                raise UsageError(
                    f"{table.name} has no column that is recognised as the class; is it '{heading}'? Then set "
                    f"audit.columns: {{label: {heading}}}; if all boxes are of one class, name it in audit.classes."
                )
    return "object" if without else ""
