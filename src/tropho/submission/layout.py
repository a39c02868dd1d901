"""The layout of a submission: that of the competition's sample, or Tropho's own where there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.files import atomic_path
from tropho.submission.box_layouts import box_layout
from tropho.submission.class_layout import class_layout
from tropho.submission.competition_csv import COLUMNS, competition_table
from tropho.submission.label_names import LabelNames
from tropho.submission.layout_types import Layout, Row, UnsupportedLayoutError
from tropho.submission.sample_file import Sample
from tropho.submission.sample_ids import without_ending
from tropho.tables import DETECTIONS


@dataclass(frozen=True, kw_only=True)
class OwnLayout(Layout):
    """Zindi's columns where the labels have them; else image_id, label and p_*, or tables.DETECTIONS."""

    zindi: bool

    @property
    def sentence(self) -> str:
        """The columns."""
        return ", ".join(self.header)

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """The predictions as they are; `rows` have no say."""
        return competition_table(predictions) if self.zindi else predictions


def layout_of(
    sample: Sample | None, settings: TaskConfig, classes: list[str], columns: dict[str, dict[str, Any]] | None = None
) -> Layout:
    """The layout of a task's submission.

    Args:
        sample: the competition's sample; None = there is none, which gives Tropho's own layout.
        settings: kind, audit.class_map, audit.classes and audit.negative say what the sample's labels mean.
        classes: the task's classes in order, without the negative one.
        columns: what was recognised in the tables of labels, by file (labels.Labels.columns).
    """
    boxed, audit = settings.kind == "detection", settings.audit
    zindi = boxed and any(table.get("image") in COLUMNS for table in (columns or {}).values())
    own = list(COLUMNS) if zindi else list(DETECTIONS) if boxed else ["image_id", "label", *(f"p_{x}" for x in classes)]
    if sample is None:
        return OwnLayout(header=own, zindi=zindi)
    negative = audit.negative if boxed else None
    names = LabelNames([*classes, *([negative] if negative else [])], audit.class_map, audit.classes is not None)
    try:
        return box_layout(sample, names, negative) if boxed else class_layout(sample, names)
    except UnsupportedLayoutError as error:
        return OwnLayout(header=own, zindi=zindi, problem=str(error))


def rows_of(sample: Sample, matches: dict[str, str]) -> list[Row]:
    """The images of a sample in its order; `matches` has the image_id of each of its ids that means one."""
    first: dict[str, list[str]] = {}
    for _, cells in sample.rows:
        first.setdefault(cells[sample.id_column], cells)
    return [Row(image, matches.get(image), dict(zip(sample.header, first[image], strict=True))) for image in sample.ids]


def rows_like(sample: Sample, names: dict[str, str]) -> list[Row]:
    """Rows for images of which the sample may name some; the others lose their ending if its ids have none.

    Args:
        sample: the sample submission.
        names: id of the sample by image_id; empty where it does not name the image.
    """
    bare = not any(without_ending(each) != each for each in sample.ids)
    short = {image_id: without_ending(image_id) if bare else image_id for image_id in names}
    unique = len(set(short.values())) == len(short)
    return [Row(names[each] or (short[each] if unique else each), each, {}) for each in names]


def write_submission(table: pd.DataFrame, layout: Layout, path: Path) -> None:
    """Write a filled table as CSV, parted as the sample is."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, sep=layout.delimiter)
