"""The layout of a submission: what fills each of its columns, and the table that it makes of predictions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tropho.files import atomic_path
from tropho.submission.competition_csv import COLUMNS, competition_table
from tropho.tables import BOX, DETECTIONS, conform, empty

Issue = tuple[str, str]  # kind and detail, as in tables.ISSUES
MAX_NAMED_COLUMNS = 10  # columns of probabilities that a sentence names one by one


class Row(NamedTuple):
    """One image of a submission."""

    image: str  # as the submission names it
    image_id: str | None  # None = no test image
    cells: dict[str, str]  # the sample's row of this image, by column; {} = none


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How predictions are written.

    Attributes:
        header: the columns in order.
        delimiter: of the cells.
        columns: what fills a column, by its name: `image`, `label`, `score` (the label's), `p_<class>`, `zero`, a side
            of a box (sample_file.ROLES) or `strings` (all boxes of an image). Columns that it lacks keep the sample's
            cells. Without any, the layout is Tropho's own: Zindi's columns, or those of the predictions.
        classes: in order, the negative class of a detection last.
        written: label as written by class; {} = none is, or any.
        negative: the class that says that nothing is there; None in classification.
        negative_box: four words for it in a column of all boxes.
        issues: (kind, detail) of what the sample asks for and predictions don't have, or the other way round.
        problem: why the sample is not followed; None = it is, or there is none.
    """

    header: list[str]
    delimiter: str = ","
    columns: dict[str, str] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    negative: str | None = None
    negative_box: str = "0 0 1 1"
    issues: list[Issue] = field(default_factory=list)
    problem: str | None = None

    @property
    def labels(self) -> list[str]:
        """Every label that may be written; empty = none is, or any."""
        return list(self.written.values())

    @property
    def sentence(self) -> str:
        """What the columns will hold."""
        named = {source: name for name, source in reversed(self.columns.items())}
        if not named:
            return ", ".join(self.header)
        labels = ", ".join(self.labels)
        parts = [f"'{named['image']}' the image"]
        if "strings" in named:
            form = f"label confidence xmin ymin xmax ymax with the labels {labels}"
            parts.append(f"'{named['strings']}' {form if labels else 'confidence x y width height'}, in pixels")
        if "label" in named:
            parts.append(f"'{named['label']}' the class ({labels})")
        shares = [(name, source[2:]) for name, source in self.columns.items() if source.startswith("p_")]
        if len(shares) <= MAX_NAMED_COLUMNS:
            parts += [f"'{name}' the probability of {label}" for name, label in shares]
        else:
            parts.append(f"{len(shares)} columns the probability of a class each")
        if "score" in named:
            parts.append(f"'{named['score']}' the confidence")
        sides = [f"'{named[side]}'" for side in (*BOX, "x", "y", "width", "height") if side in named]
        return ", ".join([*parts, *sides]) + (" the box in pixels" if sides else "")

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """Make the submission's table, with its own column names.

        An image without boxes gets a negative one of 0.5 or, without a negative class, one of size and confidence 0,
        since a leaderboard wants every image; of a column of all boxes the cell is empty then. An image without
        probabilities gets equal ones.

        Args:
            predictions: result of Task.to_submission, numbers rounded.
            rows: the images in order.
        """
        if not self.columns:
            return competition_table(predictions) if self.header == list(COLUMNS) else predictions
        sources = {*self.columns.values()}
        if "strings" in sources:
            values = self._strings(self._boxes(predictions, rows, None), rows)
        elif sources & {"x", "xmin"}:
            values = self._boxes(predictions, rows, self.classes[0])
        else:
            values = self._probabilities(predictions, rows)
        cells = {row.image: row.cells for row in rows}
        table = {}
        for name in self.header:
            source = self.columns.get(name)
            table[name] = values[source] if source else [cells[image].get(name, "") for image in values["image"]]
        return pd.DataFrame(table)

    def _probabilities(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """Return one row an image: image, label, score, zero and p_<class>."""
        known = predictions.set_index("image_id").reindex([row.image_id for row in rows])
        shares = known[[f"p_{name}" for name in self.classes]].fillna(1 / len(self.classes))
        label = known["label"].astype(object).where(known["label"].notna(), self.classes[0])
        images = [row.image for row in rows]
        values = shares.assign(image=images, label=label.map(self.written), score=shares.max(axis=1), zero=0.0)
        return values.reset_index(drop=True)

    def _boxes(self, predictions: pd.DataFrame, rows: list[Row], default: str | None) -> pd.DataFrame:
        """Return one row a box: image, class, label, score, corners, x, y, width and height in whole pixels."""
        table = competition_table(_in_order(predictions, rows, self.negative, default)).reset_index(drop=True)
        table = table.rename(columns={"Image_ID": "image", "confidence": "score"})
        sizes = {"width": table["xmax"] - table["xmin"], "height": table["ymax"] - table["ymin"]}
        return table.assign(label=table["class"].map(self.written), x=table["xmin"], y=table["ymin"], **sizes)

    def _strings(self, boxes: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """Return one row an image: image, and strings with all of its boxes."""
        texts: dict[str, list[str]] = {row.image: [] for row in rows}
        sides = boxes[BOX if self.written else ["x", "y", "width", "height"]]
        shown = [" ".join(map(str, numbers)) for numbers in sides.itertuples(index=False)]
        for image, name, score, box in zip(boxes["image"], boxes["class"], boxes["score"], shown, strict=True):
            if self.written:
                texts[image] += [self.written[name], str(score), self.negative_box if name == self.negative else box]
            else:
                texts[image] += [str(score), box]
        images = [row.image for row in rows]
        return pd.DataFrame({"image": images, "strings": [" ".join(texts[image]) for image in images]})


def write_submission(table: pd.DataFrame, layout: Layout, path: Path) -> None:
    """Write a filled table as CSV with the layout's delimiter."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, sep=layout.delimiter)


def _in_order(predictions: pd.DataFrame, rows: list[Row], negative: str | None, default: str | None) -> pd.DataFrame:
    """Return the detections in the order of the rows, named as these are.

    An image without any gets one of the negative class, or else of the class `default`, if there is one.
    """
    names = {row.image_id: row.image for row in rows if row.image_id is not None}
    order = {row.image: place for place, row in enumerate(rows)}
    table = predictions[predictions["image_id"].isin(names)]
    table = table.assign(image_id=table["image_id"].map(names))
    without = [image for image in order if image not in set(table["image_id"])]
    if without and (label := negative or default):
        box = dict.fromkeys(BOX, 0.0)
        more = pd.DataFrame({"image_id": without, "label": label, "score": 0.5 if negative else 0.0, **box})
        table = pd.concat([table, conform(more, DETECTIONS)])
    if table.empty:
        return empty(DETECTIONS)
    return table.iloc[np.argsort(table["image_id"].map(order).to_numpy(), kind="stable")]
