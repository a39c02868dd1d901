"""Layouts of detection: a row a box, or a row an image with all its boxes in one cell."""

import math
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
    written_labels,
)
from tropho.submission.sample_file import CORNERS, Sample
from tropho.tables import BOX, DETECTIONS, conform, empty, parse_number

SUPPORTED = (
    "a row a box with columns for the image, the class, the confidence and xmin, ymin, xmax, ymax (or x, y, width, "
    "height), or a row an image with PredictionString"
)


@dataclass(frozen=True, kw_only=True)
class BoxRows(Layout):
    """One row a box, best first within an image.

    An image without boxes gets a negative row of 0.5 or, without a negative class, one box of size and confidence 0,
    since a leaderboard wants every image. `fill` takes tables.DETECTIONS.
    """

    label: str | None  # the columns
    score: str
    sides: dict[str, str]  # column by side of the box (sample_file.CORNERS or CORNER_AND_SIZE)
    written: dict[str, str]  # label as written by class
    negative: str | None  # the class that says that nothing is there

    @property
    def labels(self) -> list[str]:
        return list(self.written.values()) if self.label else []

    @property
    def sentence(self) -> str:
        label = f"'{self.label}' the class ({', '.join(self.labels)}), " if self.label else ""
        sides = ", ".join(f"'{column}'" for column in self.sides.values())
        return f"'{self.image}' the image, {label}'{self.score}' the confidence, {sides} the box in pixels"

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
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
    """One row an image, whose boxes are words in one cell.

    An image without boxes gets a negative entry of 0.5 or, without a negative class, an empty cell. `fill` takes
    tables.DETECTIONS.
    """

    strings: str  # the column of boxes
    written: dict[str, str] | None  # label as written by class; None = confidence x y width height, without a label
    negative: str | None  # the class that says that nothing is there, and `negative_box` its four words
    negative_box: str

    @property
    def labels(self) -> list[str]:
        return list((self.written or {}).values())

    @property
    def sentence(self) -> str:
        form = "label confidence xmin ymin xmax ymax" if self.written else "confidence x y width height"
        labels = f" with the labels {', '.join(self.labels)}" if self.written else ""
        return f"'{self.image}' the image, '{self.strings}' {form}{labels}, in pixels"

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        boxes = competition_table(_in_order(predictions, rows, self.negative, None))
        texts: dict[str, list[str]] = {row.image: [] for row in rows}
        for image, name, score, ymin, xmin, ymax, xmax in boxes.itertuples(index=False):
            if self.written is None:
                texts[image].append(f"{score} {xmin} {ymin} {xmax - xmin} {ymax - ymin}")
            else:
                box = self.negative_box if name == self.negative else f"{xmin} {ymin} {xmax} {ymax}"
                texts[image].append(f"{self.written[name]} {score} {box}")
        filled = {self.image: [row.image for row in rows], self.strings: [" ".join(texts[row.image]) for row in rows]}
        return pd.DataFrame({name: filled.get(name, [row.cells.get(name, "") for row in rows]) for name in self.header})


def box_layout(sample: Sample, names: LabelNames, negative: str | None) -> BoxRows | BoxStrings:
    """Return the layout that a sample of a detection asks for.

    Raises:
        UnsupportedLayoutError: it asks for anything but BoxRows and BoxStrings.
    """
    columns = sample.columns
    if columns.strings and not columns.sides:
        return _box_strings(sample, names, negative, columns.strings)
    label, score = columns.label, columns.score
    if not columns.sides or score is None or (label is None and len(names.classes) > 1):
        raise UnsupportedLayoutError(f"its columns are {', '.join(sample.header)}, and supported is {SUPPORTED}")
    values = [parse_number(cell) for column in columns.sides.values() for cell in sample.cells(column)]
    if values and max(values) <= 1 and any(not value.is_integer() for value in values):
        raise UnsupportedLayoutError("its boxes are shares of the image, and only pixels can be written")
    written, issues = written_labels(sample.cells(label) if label else [], names, str(label))
    return BoxRows(
        header=sample.header,
        delimiter=sample.delimiter,
        image=columns.image,
        label=label,
        score=score,
        sides=columns.sides,
        written=written,
        negative=negative,
        issues=issues + kept_columns(columns.others),
    )


def string_groups(cell: str, size: int) -> list[list[str]]:
    """Split a cell into boxes of `size` words; the last may be short."""
    words = cell.split()
    return [words[start : start + size] for start in range(0, len(words), size)]


def string_size(cells: list[str]) -> int | None:
    """Return the words a box: 6 with a label, 5 without; None where both or neither fit."""
    sizes = []
    for size in (5, 6):
        boxes = [
            [parse_number(word) for word in box[size - 5 :]] for cell in cells for box in string_groups(cell, size)
        ]
        if boxes and all(len(box) == 5 and 0 <= box[0] <= 1 and not any(map(math.isnan, box)) for box in boxes):
            sizes.append(size)
    return sizes[0] if len(sizes) == 1 else None


def _box_strings(sample: Sample, names: LabelNames, negative: str | None, column: str) -> BoxStrings:
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
    negative_box = "0 0 1 1"
    if size == 6:
        boxes = [group for cell in cells for group in string_groups(cell, 6)]
        written, issues = written_labels([label for label, *_ in boxes], names, column)
        if any(len(label.split()) != 1 for label in written.values()):
            raise UnsupportedLayoutError(
                f"labels with spaces ({', '.join(written.values())}) can't stand in '{column}'"
            )
        shown_boxes = (" ".join(box[2:]) for box in boxes if negative and box[0] == written.get(negative))
        negative_box = next(shown_boxes, negative_box)
    elif len(names.classes) - bool(negative) > 1:
        raise UnsupportedLayoutError(
            f"column '{column}' holds no label, and the classes are {', '.join(names.classes)}"
        )
    image = sample.columns.image
    return BoxStrings(
        header=sample.header,
        delimiter=sample.delimiter,
        image=image,
        strings=column,
        written=written,
        negative=negative,
        negative_box=negative_box,
        issues=issues + kept_columns([name for name in sample.header if name not in {column, image}]),
    )


def _in_order(predictions: pd.DataFrame, rows: list[Row], negative: str | None, default: str | None) -> pd.DataFrame:
    """Return the detections in the order of the rows, named as these are.

    An image without any gets one of the negative class, or else of the class `default`, if there is one.
    """
    names = {row.image_id: row.image for row in rows if row.image_id is not None}
    order = {row.image: place for place, row in enumerate(rows)}
    table = predictions[predictions["image_id"].isin(names)]
    table = table.assign(image_id=table["image_id"].map(names))
    with_boxes = set(table["image_id"])
    without = [row.image for row in rows if row.image not in with_boxes]
    label = negative or default
    if without and label:
        box = dict.fromkeys(BOX, 0.0)
        more = pd.DataFrame({"image_id": without, "label": label, "score": 0.5 if negative else 0.0, **box})
        table = pd.concat([table, conform(more, DETECTIONS)])
    if table.empty:
        return empty(DETECTIONS)
    return table.iloc[np.argsort(table["image_id"].map(order).to_numpy(), kind="stable")]
