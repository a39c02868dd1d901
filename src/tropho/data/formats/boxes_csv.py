"""Read tables of boxes, as competitions and labelling tools write them; Zindi's Train.csv and Test.csv among them."""

import math
from collections import Counter, defaultdict
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_units import to_pixels
from tropho.data.formats.csv_table import find_tables
from tropho.data.formats.label_collector import SUBSETS, LabelCollector, Labels, in_both
from tropho.data.formats.label_table import LabelTable, Row, only_class
from tropho.errors import DataError
from tropho.images.decode import image_size
from tropho.tables import BOX


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the box tables that `csv_table.find_tables` finds; docs/label_formats.md has the rules."""
    return _Reader(settings, raw).read()


class _Reader(LabelCollector):
    """Read the rows of all tables into one entry an image and one row a box."""

    def __init__(self, settings: TaskConfig, raw: Path) -> None:
        super().__init__(raw)
        self.negative, self.test_is_named = settings.audit.negative, settings.audit.test is not None
        found = find_tables(settings.audit, raw, lambda columns: bool(columns.images and columns.layout))
        self.tables = [
            LabelTable(raw, path, subset, settings.audit.columns, self.on_disk)
            for subset, paths in found.items()
            for path in paths
        ]
        self.only_class = only_class(self.tables, settings.audit.classes)
        self.rows = [row for table in self.tables for row in table.parse()]
        self.rows.sort(key=lambda row: SUBSETS.index(row.subset))
        self.find = cache(self.on_disk.find)
        self.file_size = cache(self._file_size)

    def read(self) -> Labels:
        """Read the labels of all tables."""
        for row in self.rows:
            self._check(row)
        columns: dict[str, dict[str, Any]] = {}
        by_header: dict[tuple[str, ...], list[LabelTable]] = defaultdict(list)
        for table in self.tables:
            by_header[tuple(table.columns.header)].append(table)
        for tables in by_header.values():
            unit, form = to_pixels([row for row in self.rows if row.table in tables], tables, self.file_size)
            columns |= {table.name: table.facts(unit, form) for table in tables}
        self._add_rows()
        subsets = {table.subset for table in self.tables} | {row.subset for row in self.rows}
        if not self.test_is_named and "test" not in subsets:
            self.add_unnamed_tests()
        self._add_notes(columns)
        return self.labels(columns)

    def _file_size(self, path: str) -> tuple[float, float] | None:
        """Return the width and height of an upright image in pixels, from its file; None where unreadable."""
        with suppress(DataError):
            return image_size(self.raw / path) if path in self.on_disk else None
        return None

    def _check(self, row: Row) -> None:
        """Find the image of a row, and set its fault for an ambiguous name or a box without a class."""
        table = row.table
        row.match = self.find(row.image, table.folder, row.searched)
        if row.match.ambiguous and not row.fault:
            row.fault = row.match.detail(row.image).removesuffix(".")
        if row.fault:
            return
        if not row.label and table.label is None and row.boxes:
            row.label = self.only_class
        if not row.label and any(not box.label for box in row.boxes):
            heading = "class" if table.label is None else table.columns.header[table.label]
            row.fault = f"The cell {heading} is empty"

    def _add_rows(self) -> None:
        """Add the image and the boxes of every row, then the status of each image."""
        ids = self._ids()
        kinds: dict[str, dict[str, list[Row]]] = defaultdict(lambda: {"labelled": [], "empty": [], "bad": []})
        for row in self.rows:
            path = row.match.path
            place = {"image_id": ids.get(path, row.image), "file": row.table.name, "row": row.line}
            if not row.image or row.match.ambiguous:
                kind = "ambiguous_name" if row.match.ambiguous else "bad_row"
                self.log.add(kind, "quarantined", f"{row.fault}.", **place)
                continue
            new = {"image_id": place["image_id"], "path": path, "subset": row.subset}
            entry = self.images.setdefault(path, new)
            if row.fault:
                self.log.add("bad_row", "quarantined", f"{row.fault}.", **place)
            elif entry["subset"] != row.subset:
                self.log.add("in_both_subsets", "dropped", in_both(entry["subset"]), **place)
                continue
            if row.size:
                entry["stated_width"], entry["stated_height"] = map(round, row.size)
            kind = "bad" if row.fault else "labelled" if row.label or row.boxes else "empty"
            kinds[path][kind].append(row)
            if kind == "labelled":
                self.boxes += [{**place, **box} for box in _boxes(row)]
        for path, entry in self.images.items():
            self._set_status(entry, **kinds[path])

    def _set_status(self, entry: dict[str, Any], labelled: list[Row], empty: list[Row], bad: list[Row]) -> None:
        """Set whether an image's labels are known, and log empty rows."""
        entry["status"] = "ok"
        if empty and entry["subset"] != "test" and (labelled or not bad):
            reading = "it has boxes in other rows, which are kept" if labelled else "it is read as one without objects"
            detail = f"The row names an image and nothing else; {reading}."
            self.log.add("empty_row", "listed", detail, entry["image_id"], empty[0].table.name, empty[0].line)
        if not labelled and (bad or not empty):
            self.mark_unlabelled(entry, "None of its rows can be used.")

    def _ids(self) -> dict[str, str]:
        """Map paths to image_ids: the first name in the tables, or the path where two images share the name."""
        named = [row for row in reversed(self.rows) if row.image and not row.match.ambiguous]
        names = {row.match.path: row.image for row in named}
        counts = Counter(names.values())
        return {path: name if counts[name] == 1 else path for path, name in names.items()}

    def _add_notes(self, columns: dict[str, dict[str, Any]]) -> None:
        """Add notes on what was recognised."""
        self.notes += [table.note(columns[table.name]) for table in self.tables]
        if self.only_class and any(not box.label for row in self.rows for box in row.boxes):
            self.notes.append(f"No column names the class; every box is called '{self.only_class}'.")
        without_box = {row.label for row in self.rows if row.label and not row.boxes and not row.fault}
        for label in sorted(without_box - {row.label for row in self.rows if row.boxes} - {self.negative}):
            self.notes.append(
                f"No row of class '{label}' has a box; if it says that nothing is there, set audit.negative."
            )


def _boxes(row: Row) -> list[dict[str, Any]]:
    """Return class and corners of a row's boxes; a class without a box has corners of NaN."""
    if not row.boxes:
        return [{"label": row.label, **dict.fromkeys(BOX, math.nan)}]
    return [
        {"label": box.label or row.label, **dict(zip(BOX, box.corners, strict=True))}
        for box in row.boxes
        if np.isfinite(box.corners).all()  # fractions of an image whose size is unknown, since its file is unreadable
    ]
