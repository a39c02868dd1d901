"""Submissions of detection: a row a box, or a row an image with all its boxes in one cell."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tropho.submission.competition_csv import competition_table
from tropho.submission.label_names import LabelNames
from tropho.submission.layout_types import (
    Issue,
    Layout,
    Row,
    UnsupportedLayoutError,
    kept_columns,
    number,
    written_labels,
)
from tropho.submission.sample_file import CORNERS, Sample
from tropho.tables import BOX, DETECTIONS, conform, empty

SUPPORTED = (
    "a row a box with columns for the image, the class, the confidence and xmin, ymin, xmax, ymax (or x, y, width, "
    "height), or a row an image with PredictionString"
)


@dataclass(frozen=True, kw_only=True)
class BoxRows(Layout):
    """A layout of one row a box, best first within an image."""

    label: str | None
    score: str
    sides: dict[str, str]
    written: dict[str, str]  # class -> label as it is written
    negative: str | None

    @property
    def labels(self) -> list[str]:
        """Every label that may be written."""
        return list(self.written.values()) if self.label else []

    @property
    def sentence(self) -> str:
        """What the columns will hold."""
        label = f"'{self.label}' the class ({', '.join(self.labels)}), " if self.label else ""
        sides = ", ".join(f"'{column}'" for column in self.sides.values())
        return f"'{self.image}' the image, {label}'{self.score}' the confidence, {sides} the box in pixels"

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """See Layout; predictions as tables.DETECTIONS.

        An image without any gets a negative row of 0.5 or, where there is no negative class, one box of size and
        confidence 0: a leaderboard wants every image.
        """
        boxes = competition_table(_in_order(predictions, rows, self.negative, next(iter(self.written))))
        columns = {self.image: boxes["Image_ID"], self.score: boxes["confidence"]}
        if self.label:
            columns[self.label] = boxes["class"].map(self.written)
        values = {"x": boxes["xmin"], "y": boxes["ymin"], **{side: boxes[side] for side in CORNERS}}
        values |= {"width": boxes["xmax"] - boxes["xmin"], "height": boxes["ymax"] - boxes["ymin"]}
        columns |= {column: values[side] for side, column in self.sides.items()}
        cells = {row.image: row.cells for row in rows}
        for name in self.header:
            if name not in columns:
                columns[name] = boxes["Image_ID"].map(lambda image, name=name: cells[image].get(name, ""))
        return pd.DataFrame({name: columns[name] for name in self.header}).reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class BoxStrings(Layout):
    """A layout of one row an image, whose boxes are numbers parted by spaces in one cell."""

    strings: str
    written: dict[str, str] | None  # class -> label as it is written; None = confidence x y width height, no label
    negative: str | None
    negative_box: str  # as it is written

    @property
    def labels(self) -> list[str]:
        """Every label that may be written."""
        return list((self.written or {}).values())

    @property
    def sentence(self) -> str:
        """What the columns will hold."""
        form = "label confidence xmin ymin xmax ymax" if self.written else "confidence x y width height"
        told = f" with the labels {', '.join(self.labels)}" if self.written else ""
        return f"'{self.image}' the image, '{self.strings}' {form}{told}, in pixels"

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """See Layout; predictions as tables.DETECTIONS.

        An image without any has a negative entry of 0.5 or, where there is no negative class, an empty cell.
        """
        boxes = competition_table(_in_order(predictions, rows, self.negative, None))
        texts: dict[str, list[str]] = {row.image: [] for row in rows}
        for image, name, score, ymin, xmin, ymax, xmax in boxes.itertuples(index=False):
            if self.written is None:
                texts[image].append(f"{score} {xmin} {ymin} {xmax - xmin} {ymax - ymin}")
            else:
                box = self.negative_box if name == self.negative else f"{xmin} {ymin} {xmax} {ymax}"
                texts[image].append(f"{self.written[name]} {score} {box}")
        filled = {self.image: [row.image for row in rows], self.strings: [" ".join(texts[row.image]) for row in rows]}
        table = {name: filled.get(name, [row.cells.get(name, "") for row in rows]) for name in self.header}
        return pd.DataFrame(table)


def box_layout(sample: Sample, names: LabelNames, negative: str | None) -> BoxRows | BoxStrings:
    """The layout that a sample of a detection asks for.

    Raises:
        UnsupportedLayoutError: it asks for another one than BoxRows and BoxStrings are.
    """
    columns = sample.columns
    if columns.strings and not columns.sides:
        return _strings(sample, names, negative, columns.strings)
    if not columns.sides or columns.score is None or (columns.label is None and len(names.classes) > 1):
        raise UnsupportedLayoutError(f"its columns are {', '.join(sample.header)}, and supported is {SUPPORTED}")
    cells = [number(cell) for column in columns.sides.values() for cell in sample.cells(column)]
    if cells and max(cells) <= 1 and any(not each.is_integer() for each in cells):
        raise UnsupportedLayoutError("its boxes are shares of the image, and only pixels can be written")
    label = columns.label
    shown = sample.cells(label) if label else []
    written, issues = written_labels(shown, names, f"column '{label}'")
    return BoxRows(
        header=sample.header,
        delimiter=sample.delimiter,
        image=columns.image,
        label=label,
        score=columns.score,
        sides=columns.sides,
        written=written,
        negative=negative,
        issues=issues + kept_columns(columns.others),
    )


def string_groups(cell: str, size: int) -> list[list[str]]:
    """The boxes of a cell, `size` words each; the last may be short."""
    words = cell.split()
    return [words[start : start + size] for start in range(0, len(words), size)]


def string_size(cells: list[str]) -> int | None:
    """Words a box: 6 with a label and 5 without; None where the cells don't show it."""
    fitting = []
    for size in (5, 6):
        boxes = [box for cell in cells for box in string_groups(cell, size)]
        if boxes and all(len(box) == size and all(_fits(box[size - 5 :])) for box in boxes):
            fitting.append(size)
    return fitting[0] if len(fitting) == 1 else None


def _fits(words: list[str]) -> list[bool]:
    """Whether the first word is a confidence and each of the others a number."""
    values = [number(word) for word in words]
    return [0 <= values[0] <= 1, *(bool(np.isfinite(value)) for value in values[1:])]


def _strings(sample: Sample, names: LabelNames, negative: str | None, column: str) -> BoxStrings:
    cells = sample.cells(column)
    size = string_size(cells)
    if size is None:
        shown = f"'{cells[0]}'" if cells else "nothing"
        raise UnsupportedLayoutError(
            f"column '{column}' holds {shown}, and supported are 'label confidence xmin ymin xmax ymax' and "
            "'confidence x y width height'"
        )
    written: dict[str, str] | None = None
    issues: list[Issue] = []
    box = "0 0 1 1"
    if size == 6:
        boxes = [group for cell in cells for group in string_groups(cell, 6)]
        written, issues = written_labels([group[0] for group in boxes], names, f"column '{column}'")
        if any(len(label.split()) != 1 for label in written.values()):
            raise UnsupportedLayoutError(
                f"labels with spaces ({', '.join(written.values())}) can't stand in '{column}'"
            )
        empty_box = (group[2:] for group in boxes if negative and group[0] == written.get(negative))
        box = " ".join(next(empty_box, ["0", "0", "1", "1"]))
    elif len(names.classes) - bool(negative) > 1:
        raise UnsupportedLayoutError(
            f"column '{column}' holds no label, and the classes are {', '.join(names.classes)}"
        )
    kept = kept_columns([name for name in sample.header if name not in {column, sample.columns.image}])
    return BoxStrings(
        header=sample.header,
        delimiter=sample.delimiter,
        image=sample.columns.image,
        strings=column,
        written=written,
        negative=negative,
        negative_box=box,
        issues=issues + kept,
    )


def _in_order(predictions: pd.DataFrame, rows: list[Row], negative: str | None, stand_in: str | None) -> pd.DataFrame:
    """Detections in the order of the rows, named as these are, and one of an image without any if there is a class."""
    names = {row.image_id: row.image for row in rows if row.image_id is not None}
    order = {row.image: place for place, row in enumerate(rows)}
    mine = predictions[predictions["image_id"].isin(names)]
    mine = mine.assign(image_id=mine["image_id"].map(names))
    found = set(mine["image_id"])
    absent = [row.image for row in rows if row.image not in found]
    label = negative or stand_in
    if absent and label:
        box = dict.fromkeys(BOX, 0.0)
        more = pd.DataFrame({"image_id": absent, "label": label, "score": 0.5 if negative else 0.0, **box})
        mine = pd.concat([mine, conform(more, DETECTIONS)])
    if mine.empty:
        return empty(DETECTIONS)
    return mine.iloc[np.argsort(mine["image_id"].map(order).to_numpy(), kind="stable")]
