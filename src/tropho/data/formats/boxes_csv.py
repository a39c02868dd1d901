"""Tables of boxes, as competitions and labelling tools write them; Zindi's Train.csv and Test.csv among them."""

import math
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_pixels import to_pixels
from tropho.data.formats.box_table import BoxTable, Row, only_class
from tropho.data.formats.image_files import ImageFiles, Match
from tropho.data.formats.labels import LABELLED_BOXES, LABELLED_IMAGES, SUBSETS, IssueLog, Labels, in_both, table_of
from tropho.data.formats.subset_folders import unnamed_test_images
from tropho.data.formats.table_files import find_tables
from tropho.errors import DataError
from tropho.images.decode import image_size
from tropho.tables import BOX


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the labels of the tables that `table_files.find_tables` finds.

    What the columns hold is recognised by their headings (box_columns) and by range (box_units); `audit.columns`
    names what is not. A training row that names an image and nothing else says that it has no objects. A row
    that can't be used is quarantined and listed; an image none of whose rows can be used is unlabelled. An image
    of several subsets belongs to the first of test, validation, train. An image's id is what the tables call it, or
    its path where they call two so. Without a test table, images in a folder called test are the test set.

    Raises:
        UsageError: audit.columns names what isn't there, or a column may hold the class.
        DataError: there is no table for training, it lacks a column, or no row of it can be used.
    """
    on_disk = ImageFiles(raw)
    tables = []
    for subset, paths in find_tables(settings, raw).items():
        for path in paths:
            name = path.relative_to(raw).as_posix()
            folder = _folder(name)

            def known(text: str, folder: str = folder) -> bool:
                return bool(text) and bool(on_disk.find(text, folder).candidates)

            tables.append(BoxTable(path, name, subset, settings.audit.columns, known))
    return _Reader(settings, raw, on_disk, tables).labels()


def _folder(name: str) -> str:
    folder = str(PurePosixPath(name).parent)
    return "" if folder == "." else folder


class _Reader:
    """Turns the rows of all tables into one entry an image and one row a box."""

    def __init__(self, settings: TaskConfig, raw: Path, on_disk: ImageFiles, tables: list[BoxTable]) -> None:
        self.raw, self.on_disk, self.tables = raw, on_disk, tables
        self.negative = settings.audit.negative
        self.find_tests = settings.audit.test is None
        self.log = IssueLog()
        self.notes: list[str] = []
        self.only_class = only_class(tables, settings.audit.classes)
        order = {subset: place for place, subset in enumerate(SUBSETS)}
        self.rows = [row for index, table in enumerate(tables) for row in table.parsed(index)]
        self.rows.sort(key=lambda row: order[row.subset])
        self.found: dict[tuple[str, str, str], Match] = {}
        self.sizes: dict[str, tuple[float, float] | None] = {}

    def labels(self) -> Labels:
        """The labels of all tables."""
        for row in self.rows:
            self._check(row)
        columns: dict[str, dict[str, Any]] = {}
        by_header: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, table in enumerate(self.tables):
            by_header[tuple(table.columns.header)].append(index)
        for indices in by_header.values():
            rows = [row for row in self.rows if row.table in indices]
            unit, form = to_pixels(rows, [self.tables[index] for index in indices], self._file_size)
            columns |= {self.tables[index].name: self.tables[index].facts(unit, form) for index in indices}
        self._refuse_if_nothing_is_left()
        images, boxes = self._entries()
        self._tell(columns)
        image_table, box_table = table_of(images, LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES)
        return Labels(image_table, box_table, self.log.table(), [], self.notes, columns)

    def _file_size(self, path: str) -> tuple[float, float] | None:
        """Width and height of an image in pixels, upright, from its file; None where that can't be read."""
        if path not in self.sizes:
            try:
                self.sizes[path] = image_size(self.raw / path) if path in self.on_disk else None
            except DataError:
                self.sizes[path] = None
        return self.sizes[path]

    def _check(self, row: Row) -> None:
        """Find the file that a row means, and what is wrong with the row: an ambiguous name, a box without a class."""
        table = self.tables[row.table]
        key = (row.image, _folder(table.name), row.searched)
        if key not in self.found:
            self.found[key] = self.on_disk.find(*key)
        row.match = self.found[key]
        if row.match.ambiguous and not row.fault:
            row.fault = row.match.detail(row.image).removesuffix(".")
        if row.fault:
            return
        if not row.label and table.label is None and row.boxes:
            row.label = self.only_class
        if not row.label and any(not box.label for box in row.boxes):
            heading = "class" if table.label is None else table.columns.header[table.label]
            row.fault = f"The cell {heading} is empty"

    def _refuse_if_nothing_is_left(self) -> None:
        """Stop where every row of a training table is bad: the reason is the same for all."""
        for index, table in enumerate(self.tables):
            rows = [row for row in self.rows if row.table == index]
            if table.subset != "test" and rows and all(row.fault for row in rows):
                first = min(rows, key=lambda row: row.line)
                raise DataError(
                    f"None of the {len(rows):,} rows of {table.name} can be used; row {first.line}: {first.fault}."
                )

    def _entries(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """One entry an image (labels.LABELLED_IMAGES) and one row a box (labels.LABELLED_BOXES)."""
        ids = self._ids()
        images: dict[str, dict[str, Any]] = {}
        boxes: list[dict[str, Any]] = []
        said: dict[str, dict[str, list[Row]]] = defaultdict(lambda: {"labelled": [], "empty": [], "bad": []})
        for row in self.rows:
            match = row.match
            place = {"image_id": ids.get(match.path, row.image), "file": self.tables[row.table].name, "row": row.line}
            if not row.image or match.ambiguous:
                kind = "ambiguous_name" if match.ambiguous else "bad_row"
                self.log.add(kind, "quarantined", f"{row.fault}.", **place)
                continue
            entry = images.setdefault(
                match.path, {"image_id": place["image_id"], "path": match.path, "subset": row.subset}
            )
            if row.fault:
                self.log.add("bad_row", "quarantined", f"{row.fault}.", **place)
            elif entry["subset"] != row.subset:
                self.log.add("in_both_subsets", "dropped", in_both(entry["subset"]), **place)
                continue
            if row.size:
                entry["stated_width"], entry["stated_height"] = map(round, row.size)
            empty = not row.label and not row.boxes
            said[match.path]["bad" if row.fault else "empty" if empty else "labelled"].append(row)
            if not row.fault and not empty:
                boxes += [{**place, **box} for box in _boxes(row)]
        for path, entry in images.items():
            entry["status"] = self._status(entry, **said[path])
        if self.find_tests and not any(
            "test" in (each.subset for each in several) for several in (self.tables, self.rows)
        ):
            tests, self.notes = unnamed_test_images(self.on_disk, images)
            images |= {test["path"]: test for test in tests}
        return [*images.values()], boxes

    def _status(self, entry: dict[str, Any], labelled: list[Row], empty: list[Row], bad: list[Row]) -> str:
        """Whether an image's labels are known; lists what it was decided by."""
        image_id = entry["image_id"]
        if empty and entry["subset"] != "test":
            where = (image_id, self.tables[empty[0].table].name, empty[0].line)
            kept = "it has boxes in other rows, which are kept" if labelled else "it is read as one without objects"
            if labelled or not bad:
                self.log.add("empty_row", "listed", f"The row names an image and nothing else; {kept}.", *where)
        if labelled or (empty and not bad):
            return "ok"
        self.log.add("unlabelled", "quarantined", "None of its rows can be used.", image_id)
        return "unlabelled"

    def _ids(self) -> dict[str, str]:
        """Path -> image_id: what the tables call the image first, or its path where they call two images so."""
        names: dict[str, str] = {}
        for row in self.rows:
            if row.image and not row.match.ambiguous:
                names.setdefault(row.match.path, row.image)
        paths = defaultdict(list)
        for path, name in names.items():
            paths[name].append(path)
        return {path: name if len(paths[name]) == 1 else path for path, name in names.items()}

    def _tell(self, columns: dict[str, dict[str, Any]]) -> None:
        """Put into words what was recognised, once for tables that are alike."""
        alike: dict[tuple[tuple[str, Any], ...], list[str]] = defaultdict(list)
        for name, recognised in columns.items():
            alike[tuple(recognised.items())].append(name)
        unused = {table.name: table.unused() for table in self.tables}
        for facts, names in alike.items():
            said = dict(facts)
            roles = [
                f"{role} '{heading}'" for role, heading in said.items() if role not in {"delimiter", "boxes", "unit"}
            ]
            how = f"; boxes are {said['boxes']} in {said['unit']}" if "boxes" in said else ""
            rest = f"; not read: {', '.join(unused[names[0]])}" if unused[names[0]] else ""
            self.notes.append(f"Columns of {', '.join(names)}: {', '.join(roles)}{how}{rest}.")
        if self.only_class and any(not box.label for row in self.rows for box in row.boxes):
            self.notes.append(f"No column names the class; every box is called '{self.only_class}'.")
        boxless = {row.label for row in self.rows if row.label and not row.boxes and not row.fault}
        boxless -= {row.label for row in self.rows if row.boxes} | {self.negative or ""}
        for label in sorted(boxless):
            self.notes.append(
                f"No row of class '{label}' has a box; if it says that nothing is there, set audit.negative."
            )


def _boxes(row: Row) -> list[dict[str, Any]]:
    """Class and corners of a row's boxes; a class without a box has corners of NaN."""
    if row.corners is None:
        return [{"label": row.label, **dict.fromkeys(BOX, math.nan)}]
    boxes = zip(row.boxes, row.corners, strict=True)
    return [
        {"label": box.label or row.label, **dict(zip(BOX, corners, strict=True))}
        for box, corners in boxes
        if np.isfinite(corners).all()  # shares of an image whose size is unknown, since its file can't be read
    ]
