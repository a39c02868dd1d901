"""Apply corrections of labels, which a table under version control lists.

Columns: image_id, action, label, xmin, ymin, xmax, ymax (pixels, x first), reason; others are for the reader.

Actions:

- add: add a box of `label`.
- drop: drop the box of `label` that overlaps most, with an IoU of at least 0.5.
- move: move the box of `label` that overlaps most.
- relabel: give `label` to the box of another class that overlaps most, with an IoU of at least 0.5.
- exclude image: leave the image out.
- set label: set the image's class; in detection to the negative name, which drops its boxes.

Boxes are those that the audit would write without corrections: clipped, and merged where duplicates are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import pair_iou
from tropho.data.audit.box_repairs import corners_text
from tropho.data.formats.csv_table import read_csv
from tropho.data.formats.label_collector import LABELLED_BOXES, IssueLog, table_of
from tropho.errors import DataError, UsageError, suggestion
from tropho.tables import BOX, check_columns, is_region, nfc, parse_number, spellings

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
        if action not in BOX_ACTIONS or (box[2] > box[0] and box[3] > box[1]):
            return ""
        return f"The action '{action}' needs a box of four numbers (12.5, not 12,5) with xmin < xmax and ymin < ymax."

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
        elif (found := self._find_box(action, image_id, label, box)) is not None:
            done = self._change_box(action, label, box, found)
        else:
            return f"No box of the image is the one to {action} at {corners_text(box)}."
        if action in ("add", "set label"):  # now its labels are known
            self.images.loc[mask & (self.images["status"] == "unlabelled"), "status"] = "ok"
        detail = f"{done}{f': {reason}'.rstrip('.') if reason else ''}."
        self.log.add("correction", "corrected", detail, image_id, self.file, line)
        return ""

    def _find_box(self, action: str, image_id: str, label: str, target: list[float]) -> int | None:
        """Find the index of the box that a line means."""
        own = self.boxes[self.boxes["image_id"] == image_id]
        own = own[~is_region(own) & ((own["label"] == label) == (action != "relabel"))]
        if own.empty:
            return None
        iou = pair_iou(own[BOX].to_numpy("float64"), np.tile(target, (len(own), 1)))
        best = int(iou.argmax())
        is_meant = iou[best] > 0 if action == "move" else iou[best] >= MIN_IOU
        return int(own.index[best]) if is_meant else None

    def _change_box(self, action: str, new: str, target: list[float], row: int) -> str:
        """Drop, move or relabel a box; return what was done."""
        label = str(self.boxes.loc[row, "label"])
        corners = corners_text(self.boxes.loc[[row], BOX].to_numpy("float64")[0])
        if action == "drop":
            self.boxes = self.boxes.drop(index=row).reset_index(drop=True)
            return f"The {label} box {corners} is dropped"
        if action == "relabel":
            self.boxes.loc[row, "label"] = new
            return f"The box {corners} is labelled '{new}', not '{label}'"
        self.boxes.loc[row, BOX] = target
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
