"""Apply corrections of labels, which a table under version control lists.

Columns: image_id, action, label, xmin, ymin, xmax, ymax (pixels, x first), reason; others are for the reader.

Actions:

- add: add a box of `label`.
- drop: drop the box of `label` that overlaps most, with an IoU of at least 0.5.
- move: move the box of `label` that overlaps most.
- relabel: give `label` to the box of another class that overlaps most, with an IoU of at least 0.5.
- exclude image: leave the image out.
- set label: set the image's class; in detection to the negative name, which drops its boxes.

Boxes are compared as far as they lie in the image. Where duplicates are merged afterwards, their mean is a box too: a
line that means it changes all of them, and `move` always does.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import pair_iou
from tropho.data.audit.box_repairs import averaged_duplicates, clip_corners, corners_text
from tropho.data.formats.csv_table import read_csv
from tropho.data.formats.labels import LABELLED_BOXES, IssueLog, table_of
from tropho.errors import DataError, UsageError, suggestion
from tropho.tables import BOX, check_columns, nfc, parse_number, spellings

COLUMNS = ["image_id", "action", "label", *BOX, "reason"]
BOX_ACTIONS = ("add", "drop", "move", "relabel")
ACTIONS = (*BOX_ACTIONS, "exclude image", "set label")
MIN_IOU = 0.5  # of a correction's box with the box that it means


@dataclass
class Corrector:
    """Apply corrections to an audit's tables, one after the other, and list each."""

    images: pd.DataFrame  # with image_id, label, status, width, height
    boxes: pd.DataFrame  # formats.labels.LABELLED_BOXES
    classes: list[str]  # names that a label may have
    negative: str | None  # name of images without objects, if there is one
    is_detection: bool  # whether labels are boxes or classes of images
    file: str  # name under which the corrections are listed
    log: IssueLog  # gets an issue for every line of the table
    duplicate_iou: float | None = None  # least overlap of boxes that are merged afterwards; None where none are

    def apply(self, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return images and boxes with the corrections of a CSV file; lines that can't be used are quarantined."""
        records = _records(path)
        self.images, self.boxes = self.images.copy(), self.boxes.reset_index(drop=True)
        image_ids = spellings(self.images["image_id"])
        names = spellings([*self.classes, *filter(None, [self.negative])])
        for line, cells in records:
            cells["image_id"] = image_ids.get(nfc(cells.get("image_id", "")), cells.get("image_id", ""))
            cells["label"] = names.get(nfc(cells.get("label", "")), cells.get("label", ""))
            cells["action"] = cells.get("action", "").lower().replace("_", " ")
            box = [parse_number(cells.get(side, "")) for side in BOX]
            if fault := self._fault(cells, box) or self._apply_line(line, cells, box):
                self.log.add("bad_correction", "quarantined", fault, cells["image_id"], self.file, line)
        return self.images, self.boxes

    def _fault(self, cells: dict[str, str], box: list[float]) -> str:
        """Return why a line can't be used, or nothing."""
        action, image_id, label = cells["action"], cells["image_id"], cells["label"]
        if action not in ACTIONS:
            return f"There is no action '{action}'{suggestion(action, ACTIONS)}."
        if not (self.images["image_id"] == image_id).any():
            return f"There is no image '{image_id}'{suggestion(image_id, self.images['image_id'])}."
        if action in BOX_ACTIONS and not self.is_detection:
            return f"The action '{action}' is for boxes, and this task has none."
        known = [self.negative] if action == "set label" and self.is_detection else self.classes
        if action != "exclude image" and label not in known:
            return f"'{label}' is not a label that '{action}' can use{suggestion(label, filter(None, known))}."
        if action not in BOX_ACTIONS:
            return ""
        wrong = [side for side, value in zip(BOX, box, strict=True) if cells.get(side) and math.isnan(value)]
        if wrong:
            return f"{wrong[0]} is '{cells[wrong[0]]}', which is no number; decimals take a point, not a comma."
        if box[2] > box[0] and box[3] > box[1]:
            return ""
        return f"The action '{action}' needs a box with xmin < xmax and ymin < ymax."

    def _apply_line(self, line: int, cells: dict[str, str], box: list[float]) -> str:
        """Apply one correction; return why it could not be, or nothing."""
        action, image_id, label, reason = (cells.get(key, "") for key in ("action", "image_id", "label", "reason"))
        mask = self.images["image_id"] == image_id
        if action == "exclude image":
            self.images.loc[mask, "status"] = "excluded"
            done = "The image is left out"
        elif action == "set label":
            before = self.images.loc[mask, "label"].iloc[0]
            self.boxes = self.boxes[self.boxes["image_id"] != image_id].reset_index(drop=True)
            if not self.is_detection:
                self.images.loc[mask, "label"] = label
            done = f"The image is labelled '{label}'" + (f", not '{before}'" if pd.notna(before) else "")
        elif action == "add":
            corners = dict(zip(BOX, box, strict=True))
            row = {"image_id": image_id, "label": label, "file": self.file, "row": line, **corners}
            self.boxes = pd.concat([self.boxes, table_of([row], LABELLED_BOXES)], ignore_index=True)
            done = f"A {label} box is added at {corners_text(box)}"
        elif rows := self._find_boxes(action, image_id, label, box):
            done = self._change_boxes(action, label, box, rows)
        else:
            return f"No box of the image is the one to {action} at {corners_text(box)}."
        if action in ("add", "set label"):  # now its labels are known
            self.images.loc[mask & (self.images["status"] == "unlabelled"), "status"] = "ok"
        detail = f"{done}{f': {reason}'.rstrip('.') if reason else ''}."
        self.log.add("correction", "corrected", detail, image_id, self.file, line)
        return ""

    def _find_boxes(self, action: str, image_id: str, label: str, target: list[float]) -> list[int]:
        """Find the index of the box that a line means, and of its duplicates if it means their mean."""
        own = self.boxes[self.boxes["image_id"] == image_id]
        own = own[~own["ignore"].fillna(False).astype(bool)]  # an ignored region is no box of an object
        own = own[(own["label"] == label) == (action != "relabel")]
        if own.empty:
            return []
        size = self.images.loc[self.images["image_id"] == image_id, ["width", "height"]]
        limit = size.to_numpy("float64", na_value=np.inf)[:1]
        corners = clip_corners(own[BOX].to_numpy("float64"), np.repeat(limit, len(own), axis=0))
        own = own.assign(**dict(zip(BOX, corners.T, strict=True)))
        means, first = own, np.arange(len(own))
        if self.duplicate_iou is not None:
            means, first = averaged_duplicates(own, self.duplicate_iou)
        # Among duplicates, the place that a box is to take can lie nearer to one of them than to the mean.
        candidates = means if action == "move" else pd.concat([means, own])
        box = clip_corners(np.array([target]), limit)
        iou = pair_iou(candidates[BOX].to_numpy("float64"), np.repeat(box, len(candidates), axis=0))
        best = int(iou.argmax())
        if not (iou[best] > 0 if action == "move" else iou[best] >= MIN_IOU):
            return []
        mask = first == first[best] if best < len(own) else np.arange(len(own)) == best - len(own)
        return [int(idx) for idx in own.index[mask]]

    def _change_boxes(self, action: str, new: str, target: list[float], rows: list[int]) -> str:
        """Drop, move or relabel one box or its duplicates; return what was done."""
        label = str(self.boxes.loc[rows[0], "label"])
        corners = corners_text(self.boxes.loc[rows, BOX].mean().to_list())
        if action == "drop":
            self.boxes = self.boxes.drop(index=rows).reset_index(drop=True)
            return f"The {label} box {corners} is dropped"
        if action == "relabel":
            self.boxes.loc[rows, "label"] = new
            return f"The box {corners} is labelled '{new}', not '{label}'"
        self.boxes.loc[rows, BOX] = target
        return f"The {label} box {corners} is moved to {corners_text(target)}"


def _records(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the lines of the table, numbered from 1 with the header, and their cells."""
    if not path.is_file():
        raise UsageError(f"audit.corrections: there is no file {path}.")
    table = read_csv(path, str(path))
    check_columns(table.header, path)
    absent = [name for name in COLUMNS[:3] if name not in table.header]
    if absent:
        raise DataError(f"{path} has no column '{absent[0]}'; it needs {', '.join(COLUMNS)}.")
    return [(line, dict(zip(table.header, cells, strict=False))) for line, cells in table.rows[1:]]
