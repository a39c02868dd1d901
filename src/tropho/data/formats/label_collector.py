"""The tables, the issue log and the collector that every label reader uses, and how it finds its files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.data.formats.image_files import (
    ImageFiles,
    same_path,
    subset_of_file,
    subset_of_path,
    unique_ids,
)
from tropho.errors import DataError, UsageError, suggestion
from tropho.files import PROVENANCE
from tropho.images.file_types import walk
from tropho.tables import BOXES, ISSUES, read_csv, unicode_only

VALIDATION = frozenset({"val", "valid", "validation"})
"""Names, in lower case, of a published validation split: of a folder, a file or a cell."""
SUBSETS = ("test", "validation", "train")  # an image that is named in several subsets belongs to the first of these

LABELLED_IMAGES = {
    "image_id": "string",
    "path": "string",  # below data/raw/T; where the file should be, if there is none
    "subset": "string",  # train | validation | test, as published
    "label": "string",  # classification
    "status": "string",  # ok | unlabelled (its labels can't be used)
    "stated_width": "Int64",  # pixels, where the label file states them
    "stated_height": "Int64",
}
LABELLED_BOXES = {**BOXES, "file": "string", "row": "Int64"}  # label file and line of the box


@dataclass(frozen=True)
class Labels:
    """Labels as read.

    Before `apply_class_map`, labels have the names of the files, and an image may have a box of the negative class.
    """

    images: pd.DataFrame  # LABELLED_IMAGES
    boxes: pd.DataFrame  # LABELLED_BOXES, corners in pixels
    issues: pd.DataFrame  # tables.ISSUES
    classes: list[str]  # class names in order
    notes: list[str] = field(default_factory=list)  # sentences on what the reader decided by itself
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)  # role -> heading by table, for formats of tables


@dataclass
class IssueLog:
    """Issues in the order they are found."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, action: str, detail: str, image_id: Any = None, file: Any = None, row: Any = None) -> None:
        """Add one issue; the arguments are the columns of tables.ISSUES."""
        place = {"image_id": image_id or None, "file": str(file) if file else None, "row": row}
        self.rows.append({"kind": kind, **place, "action": action, "detail": detail})

    def add_boxes(self, boxes: pd.DataFrame, kind: str, action: str, detail: Callable[[Any], str]) -> None:
        """Add an issue for each of some boxes (LABELLED_BOXES), described by its row."""
        for box in boxes.itertuples():
            self.add(kind, action, detail(box), box.image_id, box.file, box.row)

    def mark_unlabelled(self, images: pd.DataFrame, mask: pd.Series, detail: str) -> None:
        """Change the status of some images in place, and add an issue for each."""
        images.loc[mask, "status"] = "unlabelled"
        for image_id in images.loc[mask, "image_id"]:
            self.add("unlabelled", "quarantined", detail, image_id)

    def table(self) -> pd.DataFrame:
        """Return the issues as tables.ISSUES."""
        return table_of(self.rows, ISSUES)


class LabelCollector:
    """Collect images and boxes of the data set in the folder `raw` while label files are read.

    Attributes:
        images: entry of LABELLED_IMAGES by path of the image.
        boxes: rows of LABELLED_BOXES.
    """

    def __init__(self, raw: Path) -> None:
        self.raw, self.on_disk, self.log = raw, ImageFiles(raw), IssueLog()
        self.images: dict[str, dict[str, Any]] = {}
        self.boxes: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def add_image(
        self, image_id: str, path: str, subset: str, file: str | None = None, **columns: Any
    ) -> dict[str, Any] | None:
        """Add an image; return its entry, or None and log an issue if it is in another subset already."""
        entry = {"image_id": image_id, "path": path, "subset": subset, "status": "ok", **columns}
        entry = self.images.setdefault(path, entry)
        if entry["subset"] == subset:
            return entry
        self.log.add("in_both_subsets", "dropped", in_both(entry["subset"]), image_id, file)
        return None

    def mark_unlabelled(self, entry: dict[str, Any], detail: str, kind: str = "unlabelled", file: Any = None) -> None:
        """Mark an image as unlabelled and log why."""
        entry["status"] = "unlabelled"
        self.log.add(kind, "quarantined", detail, entry["image_id"], file)

    def find_entry(self, key: str, entry: str) -> str:
        """Find the folder or text file that a setting names, as `named_path` does."""
        return named_path(entry, [".", *self.on_disk.folders, *map(str, files_below(self.raw, ".txt"))], key)

    def add_unnamed_tests(self) -> None:
        """Add images in folders called test, for data sets whose label files name no test images."""
        paths = [path for path in self.on_disk.paths if path not in self.images and subset_of_path(path) == "test"]
        ids = unique_ids([*self.images, *paths])
        for path in paths:
            self.add_image(ids[path], path, "test")
        if paths:
            self.notes.append(
                f"No label file names test images; {len(paths):,} in a folder called test are the test set."
            )

    def labels(self, columns: dict[str, dict[str, Any]] | None = None) -> Labels:
        """Return everything that was collected."""
        images, boxes = table_of(self.images.values(), LABELLED_IMAGES), table_of(self.boxes, LABELLED_BOXES)
        return Labels(images, boxes, self.log.table(), [], self.notes, columns or {})


def table_of(rows: Iterable[dict[str, Any]], schema: dict[str, str]) -> pd.DataFrame:
    """Make a table of the schema; absent keys become empty cells."""
    with unicode_only("A label file or a file name"):
        return pd.DataFrame(list(rows), columns=list(schema), dtype=object).astype(schema)


def in_both(subset: str) -> str:
    """Describe that an image is named in two subsets."""
    return f"The image is in the {subset} split too; it is kept for {subset} alone."


def read_sizes(path: Path) -> pd.DataFrame:
    """Read a CSV with the columns image_id, width and height (pixels), for images whose files are not here."""
    schema = {"image_id": "string", "width": "float64", "height": "float64"}
    if not path.is_file():
        raise DataError(f"There is no file {path}; name a CSV with the columns {', '.join(schema)}.")
    try:
        return read_csv(path, schema)[list(schema)]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is no table with the columns {', '.join(schema)}: {error}.") from error


def read_lines(path: Path) -> list[str]:
    """Return the stripped lines of a text file without blank ones; raise DataError if it is not UTF-8."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it as UTF-8.") from None


def files_below(raw: Path, *endings: str) -> list[PurePosixPath]:
    """List the paths below `raw` of files with one of the endings, such as ".csv" (none = any), sorted.

    Hidden files and provenance.json are left out.
    """
    paths = sorted(PurePosixPath(path) for path in walk(raw)[0] if path != PROVENANCE)
    return [path for path in paths if (not endings or path.suffix.lower() in endings) and (raw / path).is_file()]


def named_files(raw: Path, names: list[str] | None, usual: set[str], key: str) -> list[PurePosixPath]:
    """Find the label files (below `raw`) that a setting names; of None, those of a usual name nearest to the top."""
    if names is None:
        paths = [path for path in files_below(raw) if path.name.lower() in usual]
        top = min((len(path.parts) for path in paths), default=0)
        return [path for path in paths if len(path.parts) == top]
    return [PurePosixPath(named_path(name, list(map(str, files_below(raw))), key)) for name in names]


def named_path(entry: str, known: list[str], key: str) -> str:
    """Find the one of the known paths that a setting (called `key`) names, by the whole path or its end.

    A UsageError says that there is none, or that two fit.
    """
    name = entry.strip("/")
    matches = same_path(name, known) or [path for path in known if path.endswith(f"/{name}")]
    if len(matches) > 1:
        raise UsageError(f"{key}: '{entry}' may mean {matches[0]} or {matches[1]}; write the whole path.")
    if not matches:
        raise UsageError(f"{key}: the data set has no '{entry}'{suggestion(name, known)}.")
    return matches[0]


def find_label_files(
    settings: AuditConfig,
    raw: Path,
    candidates: Callable[[list[PurePosixPath]], list[PurePosixPath]],
    usual: dict[str, set[str]],
) -> dict[str, list[PurePosixPath]]:
    """Find the label files of each subset below `raw`: test, validation, train, and "" for those of no subset.

    Those that `audit.train` and `audit.test` name; of the others those of a `usual` name nearest the top. Without a
    usual one for training, `candidates`, a function of the files that are known, count by the subset that their name or
    folder contains (test_labels.csv, valid/_annotations.csv); a single one of another name is for training.
    """
    test, train = settings.test, settings.train
    found = {
        "test": named_files(raw, test, usual.get("test", set()), "audit.test"),
        "validation": named_files(raw, None, usual.get("validation", set()), "audit.train") if train is None else [],
        "train": named_files(raw, train, usual.get("train", set()), "audit.train"),
        "": [],
    }
    if train is not None:
        found["validation"] = [path for path in found["train"] if subset_of_file(str(path)) == "validation"]
        found["train"] = [path for path in found["train"] if path not in found["validation"]]
    is_named = train is not None and (usual or test is not None)
    if is_named or (train is None and found["train"]):
        return found
    has_test = bool(found["test"])
    for path in candidates([path for paths in found.values() for path in paths]):
        subset = subset_of_file(str(path))
        if (test if subset == "test" else train) is None and not (has_test and subset == "test"):
            found[subset].append(path)
    if train is None and not found["train"] and len(found[""]) == 1:
        found["train"] = [found[""].pop()]
    return found
