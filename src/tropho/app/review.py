"""Review label issues: each is accepted, which adds a line to the table of corrections, or rejected."""

import csv
import io
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.audit.corrections import COLUMNS
from tropho.errors import DataError
from tropho.files import write_text
from tropho.images.decode import Decoding, ImageReader
from tropho.images.draw import contact_sheet
from tropho.paths import Paths
from tropho.plots.galleries import ISSUE_BOXES, Row, draw_label_issue
from tropho.tables import BOX, BOXES, IMAGES, LABEL_ISSUES, parse_number, read_table

KEY = COLUMNS[:-1]
"""Columns that say which correction a line is; the reason does not."""


@dataclass
class Review:
    """Label issues of a task, and what was decided of them.

    Attributes:
        issues: tables.LABEL_ISSUES with `path`, by rank.
        boxes: tables.BOXES, as annotated.
        reader: of the images.
        accepted: table of corrections that the audit applies.
        rejected: table of the same columns.
    """

    issues: pd.DataFrame
    boxes: pd.DataFrame
    reader: ImageReader
    accepted: Path
    rejected: Path
    _decisions: list[tuple[Path, str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open_issues(self) -> pd.DataFrame:
        """Return the issues that were neither accepted nor rejected, by rank."""
        decided = {_key(row) for file in (self.accepted, self.rejected) for row in _rows(file)}
        undecided = [_key(_cells(row)) not in decided for row in self.issues.to_dict("records")]
        return self.issues[undecided]

    def progress(self, configured: str | None) -> str:
        """Say how many issues are decided, and how to apply the accepted corrections if there are any.

        Args:
            configured: `audit.corrections`.
        """
        if self.issues.empty:
            return ""
        said = f"{len(self.issues) - len(self.open_issues())} of {len(self.issues)} decided."
        if not self.accepted.exists():
            return said
        said += f" Accepted corrections are in `{self.accepted.name}`."
        if configured is None:
            said += f" To apply them, set `audit: {{corrections: corrections/{self.accepted.name}}}` in params.yaml."
        return f"{said} Then run `dvc repro`."

    def decide(self, rank: int, accept: bool) -> None:
        """Accept or reject an issue by its rank; one that was decided already stays as it was."""
        with self._lock:
            if rank not in set(self.open_issues()["rank"]):
                return
            row = self.issues.loc[self.issues["rank"] == rank].iloc[0].to_dict()
            file = self.accepted if accept else self.rejected
            before = file.read_text(encoding="utf-8") if file.exists() else ""
            after = _with_line(before, _cells(row))
            write_text(file, after)
            self._decisions.append((file, before, after))

    def undo(self) -> None:
        """Take back the last decision of this session, if there is one and nobody has changed its table since."""
        with self._lock:
            if not self._decisions:
                return
            file, before, after = self._decisions.pop()
            if not file.exists() or file.read_text(encoding="utf-8") != after:
                return
            if before:
                write_text(file, before)
            else:
                file.unlink()

    def picture(self, rank: int) -> tuple[np.ndarray, str]:
        """Draw an issue, and say in a sentence what is wrong and what accepting does."""
        row = self.issues.loc[self.issues["rank"] == rank].iloc[0].to_dict()
        image, _ = draw_label_issue(row, self.boxes, self.reader)
        legend = ISSUE_BOXES if row["action"] != "set label" else ()
        return contact_sheet([image], [""], 1, image.shape[1], "", legend), describe_issue(row)


def load_review(settings: TaskConfig, paths: Paths) -> Review:
    """Read the label issues of a task.

    Raises:
        DataError: the stage evaluate has not run.
    """
    file = paths.evaluate / "label_issues.csv"
    if not file.exists():
        raise DataError(f"{file} is not there; run `dvc repro`, or `tropho evaluate {paths.task}`.")
    images = read_table(paths.audit / "images.csv", IMAGES)
    issues = read_table(file, LABEL_ISSUES).merge(images[["image_id", "path"]], on="image_id", how="inner")
    corrections = paths.root / "corrections"
    accepted = paths.root / (settings.audit.corrections or f"corrections/{paths.task}.csv")
    decoding = Decoding(max_megapixels=settings.audit.max_megapixels)
    return Review(
        issues.sort_values("rank", ignore_index=True),
        read_table(paths.audit / "boxes.csv", BOXES),
        ImageReader(paths.raw, decoding),
        accepted,
        corrections / f"{paths.task}_rejected.csv",
    )


def describe_issue(row: Row) -> str:
    """Say what is wrong with a label and what accepting its correction does, in Markdown."""
    given, suggested = (str(row[key]) for key in ("given_label", "suggested_label"))
    what, then = {
        "drop": (f"The box is labelled **{given}**.", "removes the box"),
        "add": (f"Nothing is labelled here; the model finds **{suggested}**.", f"adds a box of {suggested}"),
        "move": (f"The box of **{given}** is labelled elsewhere than it is found.", "moves the box"),
        "relabel": (f"The box is labelled **{given}**; the model finds **{suggested}**.", f"labels it {suggested}"),
        "set label": (f"The image is labelled **{given}**; the model finds **{suggested}**.", f"labels it {suggested}"),
    }[str(row["action"])]
    why: str = f" {row['reason']}." if pd.notna(row["reason"]) else ""
    return f"**{row['image_id']}** ({row['kind']}, score {row['score']:.2f}). {what}{why} Accepting {then}."


def _cells(row: Row) -> dict[str, str]:
    """Return the cells of a line of corrections."""
    return {name: "" if pd.isna(row[name]) else _text(row[name]) for name in COLUMNS}


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _key(cells: dict[str, str]) -> tuple[str, ...]:
    """Return what a line corrects; numbers count by value, so 3 and 3.0 are equal."""
    return tuple(_text(parse_number(cells.get(name, ""))) if name in BOX else cells.get(name, "") for name in KEY)


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return [{name: cell or "" for name, cell in row.items() if name} for row in csv.DictReader(stream)]


def _with_line(before: str, cells: dict[str, str]) -> str:
    """Append a line to the text of a table of corrections, in the order of its columns; an empty one gets a header."""
    columns = next(csv.reader(io.StringIO(before.removeprefix("\ufeff"))), []) or COLUMNS
    stream = io.StringIO()
    names = [name.strip() for name in columns]
    writer = csv.DictWriter(stream, names, restval="", extrasaction="ignore", lineterminator="\n")
    if not before:
        writer.writeheader()
    elif not before.endswith("\n"):
        stream.write("\n")
    writer.writerow(cells)
    return before + stream.getvalue()
