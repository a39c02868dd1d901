"""Corrections of labels, kept under version control as a table and applied by the audit.

Columns: image_id, action, label, xmin, ymin, xmax, ymax (pixels, x first), reason; others are for the reader.

| action | what it does | which box it means |
|---|---|---|
| add | a new box of `label` | |
| drop | the box of `label` goes | that which overlaps most, with IoU of at least 0.5 |
| move | a box of `label` takes the given place | that which overlaps most |
| relabel | a box gets `label` | that of another class which overlaps most, with IoU of at least 0.5 |
| exclude image | the image is left out | |
| set label | the image's class is `label`; for boxes, the negative name: nothing is in it | |

Boxes are compared as far as they lie in the image. Where doubles are merged afterwards, their mean is a box too: a line
that means it changes all of them, and `move` always does.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import pair_iou
from tropho.data.audit.check_boxes import corners_text, within
from tropho.data.audit.duplicate_boxes import merged_in_place
from tropho.data.formats.labels import LABELLED_BOXES, IssueLog, nearest, table_of
from tropho.errors import DataError, UsageError
from tropho.tables import BOX, check_columns, nfc, spellings

COLUMNS = ["image_id", "action", "label", *BOX, "reason"]
BOX_ACTIONS = ("add", "drop", "move", "relabel")
ACTIONS = (*BOX_ACTIONS, "exclude image", "set label")
SAME_BOX = 0.5
"""Least IoU of a correction's box with the box that it means."""


@dataclass(frozen=True)
class Correction:
    """One usable line of the table; `box` is NaN where the action needs none."""

    line: int
    image_id: str
    action: str
    label: str
    box: tuple[float, ...]
    reason: str


class Corrector:
    """Applies corrections to an audit's tables, one after the other, and lists each.

    Args:
        images: with image_id, label, status, width, height.
        boxes: formats.labels.LABELLED_BOXES.
        classes: names that a label may have.
        negative: the name that says that nothing is in the image, if there is one.
        boxed: whether labels are boxes (detection) or classes of images.
        file: name under which the corrections are listed.
        log: gets an issue for every line of the table.
        double_iou: least overlap of boxes that are merged afterwards; None where none are.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        boxes: pd.DataFrame,
        classes: list[str],
        negative: str | None,
        boxed: bool,
        file: str,
        log: IssueLog,
        double_iou: float | None = None,
    ) -> None:
        self.images, self.boxes, self.double_iou = images.copy(), boxes.reset_index(drop=True), double_iou
        self.classes, self.negative, self.boxed, self.file, self.log = classes, negative, boxed, file, log

    def apply(self, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Images and boxes with the corrections of a CSV file; lines that can't be used are quarantined.

        Raises:
            UsageError: there is no such file.
            DataError: it is no table of corrections.
        """
        records = _records(path)
        self.image_ids = spellings(self.images["image_id"])
        self.names = spellings([*self.classes, *filter(None, [self.negative])])
        for line, record in records:
            row = self._checked(line, record)
            fault = row if isinstance(row, str) else self._one(row)
            if fault:
                self.log.add("bad_correction", "quarantined", fault, record.get("image_id"), self.file, line)
        return self.images, self.boxes

    def _checked(self, line: int, record: dict[str, str]) -> Correction | str:
        """A line's cells -> the correction, or why it can't be used."""
        action = record.get("action", "").lower().replace("_", " ")
        image_id = self.image_ids.get(nfc(record.get("image_id", "")), record.get("image_id", ""))
        label = self.names.get(nfc(record.get("label", "")), record.get("label", ""))
        if action not in ACTIONS:
            return f"There is no action '{action}'{nearest(action, ACTIONS)}."
        if not (self.images["image_id"] == image_id).any():
            return f"There is no image '{image_id}'{nearest(image_id, self.images['image_id'])}."
        if action in BOX_ACTIONS and not self.boxed:
            return f"The action '{action}' is for boxes, and this task has none."
        known = [self.negative] if action == "set label" and self.boxed else self.classes
        if action != "exclude image" and label not in known:
            return f"'{label}' is not a label that '{action}' can use{nearest(label, filter(None, known))}."
        cells = {side: record.get(side, "") for side in BOX}
        wrong = [side for side, cell in cells.items() if cell and math.isnan(_number(cell))]
        if action in BOX_ACTIONS and wrong:
            return f"{wrong[0]} is '{cells[wrong[0]]}', which is no number; decimals take a point, not a comma."
        box = tuple(map(_number, cells.values()))
        if action in BOX_ACTIONS and not (box[2] > box[0] and box[3] > box[1]):
            return f"The action '{action}' needs a box with xmin < xmax and ymin < ymax."
        return Correction(line, image_id, action, label, box, record.get("reason", ""))

    def _one(self, row: Correction) -> str:
        """Apply one correction; returns why it could not be, or nothing."""
        chosen = self.images["image_id"] == row.image_id
        before, what = self.images.loc[chosen, "label"].iloc[0], ""
        if row.action == "exclude image":
            self.images.loc[chosen, "status"] = "excluded"
            what = "The image is left out"
        elif row.action == "set label":
            self.boxes = self.boxes[self.boxes["image_id"] != row.image_id].reset_index(drop=True)
            if not self.boxed:
                self.images.loc[chosen, "label"] = row.label
            what = f"The image is labelled '{row.label}'" + (f", not '{before}'" if pd.notna(before) else "")
        elif row.action == "add":
            box = {"image_id": row.image_id, "label": row.label, "file": self.file, "row": row.line}
            added = table_of([{**box, **dict(zip(BOX, row.box, strict=True))}], LABELLED_BOXES)
            self.boxes = pd.concat([self.boxes, added], ignore_index=True)
            what = f"A {row.label} box is added at {corners_text(list(row.box))}"
        else:
            places = self._meant(row)
            if not places:
                return f"No box of the image is the one to {row.action} at {corners_text(list(row.box))}."
            what = self._changed(row, places)
        if row.action in ("add", "set label"):  # now its labels are known
            self.images.loc[chosen & (self.images["status"] == "unlabelled"), "status"] = "ok"
        reason = f": {row.reason}" if row.reason else ""
        self.log.add(
            "correction", "corrected", f"{what.rstrip('.')}{reason.rstrip('.')}.", row.image_id, self.file, row.line
        )
        return ""

    def _meant(self, row: Correction) -> list[int]:
        """The positions of the box that a line speaks of, and of its doubles if it speaks of their mean."""
        own = self.boxes[self.boxes["image_id"] == row.image_id]
        own = own[~own["ignore"].fillna(False).astype(bool)]  # an ignored region is no box of an object
        own = own[(own["label"] == row.label) == (row.action != "relabel")]
        if own.empty:
            return []
        size = self.images.loc[self.images["image_id"] == row.image_id, ["width", "height"]]
        limit = size.to_numpy("float64", na_value=np.inf)[:1]
        corners = within(own[BOX].to_numpy("float64"), np.repeat(limit, len(own), axis=0))
        own = own.assign(**dict(zip(BOX, corners.T, strict=True)))
        means, first = own, np.arange(len(own))
        if self.double_iou is not None:
            means, first = merged_in_place(own, self.double_iou)
        # Among doubles, the place that a box is to take can lie nearer to one of them than to the mean.
        could_be = means if row.action == "move" else pd.concat([means, own])
        named = within(np.array([row.box]), limit)
        iou = pair_iou(could_be[BOX].to_numpy("float64"), np.repeat(named, len(could_be), axis=0))
        best = int(iou.argmax())
        if not (iou[best] > 0 if row.action == "move" else iou[best] >= SAME_BOX):
            return []
        chosen = first == first[best] if best < len(own) else np.arange(len(own)) == best - len(own)
        return [int(place) for place in own.index[chosen]]

    def _changed(self, row: Correction, places: list[int]) -> str:
        """Drop, move or relabel the boxes at these positions, one box or its doubles; returns what was done."""
        label = str(self.boxes.loc[places[0], "label"])
        corners = corners_text(self.boxes.loc[places, BOX].mean().to_list())
        if row.action == "drop":
            self.boxes = self.boxes.drop(index=places).reset_index(drop=True)
            return f"The {label} box {corners} is dropped"
        if row.action == "relabel":
            self.boxes.loc[places, "label"] = row.label
            return f"The box {corners} is labelled '{row.label}', not '{label}'"
        self.boxes.loc[places, BOX] = list(row.box)
        return f"The {label} box {corners} is moved to {corners_text(list(row.box))}"


def _records(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines of the table, 1-based with the header, and their cells."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = [(name or "").strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            check_columns(columns, path)
            absent = [name for name in COLUMNS[:3] if name not in columns]
            if absent:
                raise DataError(f"{path} has no column '{absent[0]}'; it needs {', '.join(COLUMNS)}.")
            return [
                (reader.line_num, {name: cell.strip() for name, cell in row.items() if name and isinstance(cell, str)})
                for row in reader
            ]
    except FileNotFoundError:
        raise UsageError(f"audit.corrections: there is no file {path}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error}).") from None


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
