"""What every reader of labels gives and uses: the tables, the log of faults, the image files on disk."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.data.formats.image_files import same_path
from tropho.errors import UsageError
from tropho.files import PROVENANCE
from tropho.images.file_types import is_hidden
from tropho.tables import BOX, BOXES, ISSUES, unicode_only

VALIDATION = frozenset({"val", "valid", "validation"})
"""Names, in lower case, of a published validation split: of a folder, a file or a cell."""
SUBSETS = ("test", "validation", "train")
"""Of an image in several splits, the first of these counts: what is judged on is not trained on."""

LABELLED_IMAGES = {
    "image_id": "string",
    "path": "string",  # below data/raw/T; where the file should be, if there is none
    "subset": "string",  # train | validation | test, as published
    "label": "string",  # classification
    "status": "string",  # ok | unlabelled (its labels can't be used)
    "stated_width": "Int64",  # pixels, where the label file states them
    "stated_height": "Int64",
}
LABELLED_BOXES = {**BOXES, "file": "string", "row": "Int64"}  # file and line that the box stands in


@dataclass(frozen=True)
class Labels:
    """Labels as read: `images` as LABELLED_IMAGES, `boxes` as LABELLED_BOXES, `issues` as tables.ISSUES.

    Until `classes.settle` has seen them, labels bear the names of the files, and an image without objects may
    have a box of the negative class.
    """

    images: pd.DataFrame
    boxes: pd.DataFrame
    issues: pd.DataFrame
    classes: list[str]
    notes: list[str] = field(default_factory=list)
    """What the reader decided by itself, in sentences."""
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the columns of each table were recognised as."""


@dataclass
class IssueLog:
    """Faults in the order they are met."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, action: str, detail: str, image_id: Any = None, file: Any = None, row: Any = None) -> None:
        """List one fault; the fields are those of tables.ISSUES."""
        fault = {"kind": kind, "image_id": image_id or None, "file": file or None, "row": row}
        self.rows.append({**fault, "action": action, "detail": detail})

    def table(self) -> pd.DataFrame:
        """The faults as tables.ISSUES."""
        return table_of(self.rows, ISSUES)


def table_of(rows: Iterable[dict[str, Any]], schema: dict[str, str]) -> pd.DataFrame:
    """Rows -> a table of the schema; absent keys are empty cells."""
    with unicode_only("A label file or a file name"):
        return pd.DataFrame(list(rows), columns=list(schema), dtype=object).astype(schema)


def in_both(kept: str) -> str:
    """What is said of an image that another split also names."""
    return f"The image is in the {kept} split too; it is kept for {kept} alone."


def in_several_files(boxes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Keep each box once that several label files hold, as COCO's files of persons repeat those of all objects.

    Args:
        boxes: LABELLED_BOXES.
        log: gets an issue for every file that repeats others.
    """
    if boxes["file"].nunique() < 2:
        return boxes
    first = boxes.groupby(["image_id", "label", *BOX, "ignore"], dropna=False)["file"].transform("first")
    repeated = boxes["file"].notna() & (boxes["file"] != first)
    for file, count in boxes.loc[repeated, "file"].value_counts().items():
        detail = f"{count:,} of its boxes stand in {first[repeated & (boxes['file'] == file)].iloc[0]} too."
        log.add("repeated_boxes", "dropped", detail, None, file)
    return boxes[~repeated]


def files_below(raw: Path, pattern: str = "*") -> list[Path]:
    """Files below `raw` that may hold labels, sorted; hidden ones and what the stage download writes are left out."""
    found = sorted(path for path in raw.rglob(pattern) if path.is_file() and path != raw / PROVENANCE)
    return [path for path in found if not any(map(is_hidden, path.relative_to(raw).parts))]


def named_files(raw: Path, given: list[str] | None, usual: set[str], key: str) -> list[Path]:
    """The label files that the setting `key` names, or those with a usual (lower-case) name nearest the top.

    Raises:
        UsageError: a file that the setting names is not there.
    """
    if given is None:
        found = [path for path in files_below(raw) if path.name.lower() in usual]
        top = min((len(path.parts) for path in found), default=0)
        return [path for path in found if len(path.parts) == top]
    there = [path.relative_to(raw).as_posix() for path in files_below(raw)] if given else []
    found = []
    for name in given:
        match = [name] if (raw / name).is_file() else same_path(name, there)
        if len(match) > 1:
            raise UsageError(f"{key}: '{name}' may mean {match[0]} or {match[1]}; write it as the file is called.")
        if not match:
            raise UsageError(f"{key}: there is no file '{name}' in {raw}{nearest(name, there)}.")
        found.append(raw / match[0])
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that names the known word most like `name`, or some of the known words."""
    words = sorted(map(str, known))
    by_lower = {word.lower(): word for word in words}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{by_lower[close[0]]}'?"
    return f"; known are {', '.join(words[:10])}{', ...' if len(words) > 10 else ''}" if words else ""
