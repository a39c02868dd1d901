"""A table of labels: one row an image, with columns for the image, its label and, if it likes, its subset."""

from pathlib import Path, PurePosixPath

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_columns import IMAGE, LABEL, fixed_columns, squeeze
from tropho.data.formats.csv_table import check_headings, read_csv
from tropho.data.formats.image_files import ImageFiles, subset_of
from tropho.data.formats.labels import (
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
from tropho.errors import DataError
from tropho.submission.sample_file import is_sample

IMAGE_COLUMNS = ["image_id", "image", "file", "filename", "file_name", "path", "image_path", "id"]
LABEL_COLUMNS = ["label", "class", "category", "target"]
SUBSET_COLUMNS = ["subset", "split", "set"]
STATED = {"train": "train", "training": "train", "test": "test", "testing": "test"}
STATED |= dict.fromkeys(VALIDATION, "validation")


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Labels of train.csv and test.csv, or of the only other table; an image's id is its path below `raw`.

    Images of val.csv, valid.csv or validation.csv, or that a column calls so, are the published validation set.
    Columns are recognised by their headings; `audit.columns` names those that are not. The image may be named by
    path, by file name, or without its ending. A test table needs no labels.

    Raises:
        DataError: there is no table, or it lacks a column for the image or the label.
    """
    audit = settings.audit
    tests = named_files(raw, audit.test, {"test.csv", "test.tsv"}, "audit.test")
    trains = named_files(raw, audit.train, {"train.csv", "train.tsv"}, "audit.train")
    if audit.train is None:
        validations = named_files(
            raw, None, {f"{name}{end}" for name in VALIDATION for end in (".csv", ".tsv")}, "audit.train"
        )
        trains = trains or _only_table(raw, tests + validations)
    else:
        validations = [path for path in trains if path.stem.lower() in VALIDATION]
    files = {"test": tests, "validation": validations, "train": [path for path in trains if path not in validations]}
    reader = _Reader(raw, audit.columns)
    for subset, paths in files.items():
        for path in paths:
            reader.take(path, subset)
    images = table_of(reader.images.values(), LABELLED_IMAGES)
    return Labels(images, table_of([], LABELLED_BOXES), reader.log.table(), [], [], reader.recognised)


def _only_table(raw: Path, others: list[Path]) -> list[Path]:
    tables = [
        path
        for path in files_below(raw, "*.[cCtT][sS][vV]")
        if path not in others and not (is_sample(path.name) or "sample" in path.name.lower())
    ]
    if len(tables) != 1:
        which = ", ".join(path.relative_to(raw).as_posix() for path in tables) or "none"
        raise DataError(f"{raw} must hold train.csv or one other table (found: {which}); name it in audit.train.")
    return tables


class _Reader:
    """Rows of one table after another, one entry an image."""

    def __init__(self, raw: Path, given: dict[str, str]) -> None:
        self.raw, self.given = raw, given
        self.recognised: dict[str, dict[str, str]] = {}
        self.on_disk = ImageFiles(raw)
        self.log = IssueLog()
        self.images: dict[str, dict[str, str | None]] = {}

    def take(self, path: Path, subset: str) -> None:
        """Read a table; its rows are of `subset` unless a column says otherwise."""
        file = path.relative_to(self.raw).as_posix()
        table = read_csv(path, file)
        columns = [cell for _, cells in table.rows[:1] for cell in cells]
        at = self._recognise(columns, file, subset)
        self.recognised[file] = {role: columns[place] for role, place in at.items()}
        for line, cells in table.rows[1:]:
            if any(cells[len(columns) :]):
                detail = f"{len(cells)} cells under {len(columns)} columns."
                self.log.add("bad_row", "quarantined", detail, cells[at["image"]], file, line)
                continue
            record = dict(enumerate(cells))
            name, value, stated = (record.get(at.get(role, -1), "") for role in ("image", "label", "subset"))
            own = STATED.get(stated.lower(), subset if not stated else "")
            searched = own if stated or own != "train" else subset_of(path.stem)
            self._add(name, value, own, searched, (file, line))

    def _recognise(self, columns: list[str], file: str, subset: str) -> dict[str, int]:
        """Position of each role: image, label and, where there are such columns, subset."""
        check_headings(columns, file)
        found = fixed_columns(columns, self.given, file, strict=subset != "test")
        for role, names, others in (
            ("image", IMAGE_COLUMNS, IMAGE),
            ("label", LABEL_COLUMNS, LABEL),
            ("subset", SUBSET_COLUMNS, ()),
        ):
            left = [column for column in columns if columns.index(column) not in found.values()]
            column = _column(left, names, others)
            if role not in found and column is not None:
                found[role] = columns.index(column)
            elif role not in found and (role == "image" or (role == "label" and subset != "test")):
                headings = f"its headings are {', '.join(columns)}" if columns else "it is empty"
                remedy = f"name the right one in audit.columns: {{{role}: ...}}"
                raise DataError(f"{file} has none of the columns {', '.join(names)}; {headings}; {remedy}.")
        return found

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


def _column(columns: list[str], names: list[str], others: tuple[str, ...] = ()) -> str | None:
    """The column whose lower-case name comes first in `names`, or else without case and signs in `others`."""
    by_lower = {column.lower(): column for column in columns}
    squeezed = {squeeze(column): column for column in reversed(columns)}
    found = next((by_lower[name] for name in names if name in by_lower), None)
    return found or next((squeezed[name] for name in others if name in squeezed), None)
