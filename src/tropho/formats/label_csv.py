"""A table of labels: one row an image, with columns for the image, its label and, if it likes, its subset."""

import csv
from pathlib import Path, PurePosixPath

from tropho.errors import DataError
from tropho.formats.image_files import ImageFiles, subset_of
from tropho.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    SUBSETS,
    VALIDATION,
    IssueLog,
    Labels,
    files_below,
    in_both,
    named_files,
    table_of,
)
from tropho.settings import TaskSettings
from tropho.tables import check_columns

IMAGE_COLUMNS = ["image_id", "image", "file", "filename", "file_name", "path", "image_path", "id"]
LABEL_COLUMNS = ["label", "class", "category", "target"]
SUBSET_COLUMNS = ["subset", "split", "set"]
STATED = {"train": "train", "training": "train", "test": "test", "testing": "test"}
STATED |= dict.fromkeys(VALIDATION, "validation")


def read(settings: TaskSettings, raw: Path) -> Labels:
    """Labels of train.csv and test.csv, or of the only other table; an image's id is its path below `raw`.

    Images of val.csv, valid.csv or validation.csv, or that a column calls so, are the published validation set.
    The image may be named by path, by file name, or without its ending. A test table needs no labels.

    Raises:
        DataError: there is no table, or it lacks a column for the image or the label.
    """
    audit = settings.audit
    tests = named_files(raw, audit.test, {"test.csv"}, "audit.test")
    trains = named_files(raw, audit.train, {"train.csv"}, "audit.train")
    if audit.train is None:
        validations = named_files(raw, None, {f"{name}.csv" for name in VALIDATION}, "audit.train")
        trains = trains or _only_table(raw, tests + validations)
    else:
        validations = [path for path in trains if path.stem.lower() in VALIDATION]
    files = {"test": tests, "validation": validations, "train": [path for path in trains if path not in validations]}
    reader = _Reader(raw)
    for subset, paths in files.items():
        for path in paths:
            reader.take(path, subset)
    images = table_of(reader.images.values(), LABELLED_IMAGES)
    return Labels(images, table_of([], LABELLED_BOXES), reader.log.table(), [])


def _only_table(raw: Path, others: list[Path]) -> list[Path]:
    tables = [
        path for path in files_below(raw, "*.[cC][sS][vV]") if path not in others and "sample" not in path.name.lower()
    ]
    if len(tables) != 1:
        which = ", ".join(path.relative_to(raw).as_posix() for path in tables) or "none"
        raise DataError(f"{raw} must hold train.csv or one other table (found: {which}); name it in audit.train.")
    return tables


class _Reader:
    """Rows of one table after another, one entry an image."""

    def __init__(self, raw: Path) -> None:
        self.raw = raw
        self.on_disk = ImageFiles(raw)
        self.log = IssueLog()
        self.images: dict[str, dict[str, str | None]] = {}

    def take(self, path: Path, subset: str) -> None:
        """Read a table; its rows are of `subset` unless a column says otherwise."""
        file = path.relative_to(self.raw).as_posix()
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream, restval="")
                columns = [(name or "").strip() for name in reader.fieldnames or []]
                reader.fieldnames = columns
                check_columns((name.lower() for name in columns), file)
                image = _column(columns, IMAGE_COLUMNS)
                label = _column(columns, LABEL_COLUMNS)
                if image is None or (label is None and subset != "test"):
                    wanted = IMAGE_COLUMNS if image is None else LABEL_COLUMNS
                    raise DataError(f"{file} has none of the columns {', '.join(wanted)}.")
                where = _column(columns, SUBSET_COLUMNS)
                for row in reader:
                    name, value = (row[image] or "").strip(), (row[label] or "").strip() if label else ""
                    stated = (row[where] or "").strip().lower() if where else ""
                    own = STATED.get(stated, subset if not stated else "")
                    searched = own if stated or own != "train" else subset_of(path.stem)
                    self._add(name, value, own, searched, (file, reader.line_num))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{file} is not a CSV file in UTF-8 ({error}).") from None

    def _add(self, name: str, label: str, subset: str, searched: str, place: tuple[str, int]) -> None:
        file, line = place
        if not name or not subset:
            what = "The image's cell is empty" if not name else "The subset is neither train, validation nor test"
            self.log.add("bad_row", "quarantined", f"{what}.", name, file, line)
            return
        match = self.on_disk.find(name, PurePosixPath(file).parent.as_posix(), searched)
        if match.ambiguous:
            self.log.add("ambiguous_name", "quarantined", match.detail(name), name, file, line)
            return
        image_id = match.path
        before = self.images.get(image_id)
        if before is None:
            status = "ok" if label or subset == "test" else "unlabelled"
            if status == "unlabelled":
                self.log.add("bad_row", "quarantined", "The label's cell is empty.", image_id, file, line)
            entry = {"image_id": image_id, "path": image_id, "subset": subset, "label": label or None}
            self.images[image_id] = {**entry, "status": status}
        elif before["subset"] != subset:
            before["subset"] = min(str(before["subset"]), subset, key=SUBSETS.index)
            self.log.add("in_both_subsets", "dropped", in_both(str(before["subset"])), image_id, file, line)
        elif before["label"] == (label or None):
            self.log.add("repeated_row", "dropped", "The image has an equal row above.", image_id, file, line)
        else:
            detail = f"Labelled '{label}' here and '{before['label']}' above; neither is used."
            self.log.add("label_conflict", "quarantined", detail, image_id, file, line)
            before["status"] = "unlabelled"


def _column(columns: list[str], names: list[str]) -> str | None:
    """The column whose lower-case name comes first in `names`."""
    by_lower = {column.lower(): column for column in columns}
    return next((by_lower[name] for name in names if name in by_lower), None)
