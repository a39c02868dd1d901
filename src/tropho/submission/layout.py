"""The layout of a task's submission: that of the competition's sample, or Tropho's own where there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import atomic_path, read_json
from tropho.images.decode import image_orientation
from tropho.orientation import STORED, SYMMETRIES, turn_boxes
from tropho.paths import Paths
from tropho.submission.box_layouts import box_layout
from tropho.submission.class_layout import class_layout
from tropho.submission.competition_csv import COLUMNS, competition_table
from tropho.submission.label_names import LabelNames
from tropho.submission.layout_types import Layout, Row, UnsupportedLayoutError
from tropho.submission.sample_file import (
    Matches,
    Sample,
    find_sample,
    match_ids,
    match_sample,
    read_sample,
    without_ending,
)
from tropho.tables import BOX, DETECTIONS, IMAGES, read_table


@dataclass(frozen=True, kw_only=True)
class OwnLayout(Layout):
    """Zindi's columns where the labels have them; else image_id, label and p_*, or tables.DETECTIONS.

    `fill` returns the predictions as they are.
    """

    zindi: bool

    @property
    def sentence(self) -> str:
        return ", ".join(self.header)

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        return competition_table(predictions) if self.zindi else predictions


@dataclass(frozen=True)
class Target:
    """The competition's sample, if there is one, its matches and the layout."""

    sample: Sample | None
    matches: Matches
    layout: Layout

    @property
    def followed(self) -> Sample | None:
        """The sample, where the layout is its own."""
        return None if self.layout.problem else self.sample

    def rows(self, image_ids: list[str]) -> list[Row]:
        """Return the images to submit: the sample's in its order, or else `image_ids`."""
        if self.followed is None:
            return [Row(image_id, image_id, {}) for image_id in image_ids]
        return rows_of(self.followed, self.matches.images)

    def rows_of_files(self, names: list[str]) -> list[Row]:
        """Return rows for image files that need not be the sample's, named as it names images."""
        if self.followed is None:
            return [Row(name, name, {}) for name in names]
        ids = match_ids(self.followed.ids, dict.fromkeys(names, "")).images
        known = {image_id: sample_id for sample_id, image_id in ids.items()}
        return rows_like(self.followed, {name: known.get(name, "") for name in names})

    def sizes(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return the columns image_id (as the sample names it), width and height of the sample's images."""
        ids = {image_id: sample_id for sample_id, image_id in self.matches.images.items()}
        named = images.assign(image_id=images["image_id"].map(ids))
        return named.loc[named["image_id"].notna(), ["image_id", "width", "height"]]


def target_of(paths: Paths, settings: TaskConfig, classes: list[str]) -> Target:
    """Find the task's sample submission in its raw files; without one the layout is Tropho's own."""
    path = find_sample(paths.raw, settings.audit.sample) if paths.raw.is_dir() else None
    summary, table = paths.audit / "summary.json", paths.audit / "images.csv"
    columns = read_json(summary).get("columns") if summary.exists() else None
    sample, matches = None if path is None else read_sample(path), Matches()
    if sample is not None and table.exists():
        images = read_table(table, IMAGES)
        sample, matches = match_sample(sample, images.loc[images["subset"] == "test", ["image_id", "path"]])
    return Target(sample, matches, layout_of(sample, settings, classes, columns))


def audited_labels(sample: Path, root: Path) -> list[str]:
    """Return the labels that the audit expects in submissions by this sample; none outside data/raw/TASK."""
    folder = (root / "data" / "raw").resolve()
    path = sample.resolve()
    if not path.is_relative_to(folder) or path.parent == folder:
        return []
    summary = Paths(root, path.relative_to(folder).parts[0]).audit / "summary.json"
    return list((read_json(summary).get("sample") or {}).get("labels", [])) if summary.exists() else []


def layout_of(
    sample: Sample | None, settings: TaskConfig, classes: list[str], columns: dict[str, dict[str, Any]] | None = None
) -> Layout:
    """Return the layout of a task's submission.

    Args:
        sample: the competition's sample; None gives Tropho's own layout.
        settings: kind, audit.class_map, audit.classes and audit.negative say what the sample's labels mean.
        classes: the task's classes in order, without the negative one.
        columns: headings by role of the tables of labels, by file (labels.Labels.columns).
    """
    is_detection, audit = settings.kind == "detection", settings.audit
    zindi = is_detection and any(table.get("image") in COLUMNS for table in (columns or {}).values())
    header = ["image_id", "label", *(f"p_{name}" for name in classes)]
    if is_detection:
        header = list(COLUMNS) if zindi else list(DETECTIONS)
    if sample is None:
        return OwnLayout(header=header, zindi=zindi)
    negative = audit.negative if is_detection else None
    names = LabelNames([*classes, *([negative] if negative else [])], audit.class_map, audit.classes is not None)
    try:
        return box_layout(sample, names, negative) if is_detection else class_layout(sample, names)
    except UnsupportedLayoutError as error:
        return OwnLayout(header=header, zindi=zindi, problem=str(error))


def rows_of(sample: Sample, image_ids: dict[str, str]) -> list[Row]:
    """Return the images of a sample in its order; `image_ids` maps the ids that mean one to its image_id."""
    first: dict[str, list[str]] = {}
    for _, cells in sample.rows:
        first.setdefault(cells[sample.id_column], cells)
    return [Row(name, image_ids.get(name), dict(zip(sample.header, first[name], strict=True))) for name in sample.ids]


def rows_like(sample: Sample, names: dict[str, str]) -> list[Row]:
    """Return rows for images of which the sample may name some; the others lose their ending if its ids have none.

    Args:
        sample: the sample submission.
        names: id of the sample by image_id; empty where it does not name the image.
    """
    bare = not any(without_ending(name) != name for name in sample.ids)
    short = {image_id: without_ending(image_id) if bare else image_id for image_id in names}
    unique = len(set(short.values())) == len(short)
    return [Row(name or (short[image_id] if unique else image_id), image_id, {}) for image_id, name in names.items()]


def write_submission(table: pd.DataFrame, layout: Layout, path: Path) -> None:
    """Write a filled table as CSV with the layout's delimiter."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, sep=layout.delimiter)


def to_stored_frame(table: pd.DataFrame, images: pd.DataFrame, raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn boxes of photos that EXIF turns to the pixels as stored, as the training labels have them.

    Args:
        table: image_id and tables.BOX, pixels of the upright image; a box without area stays as it is.
        images: tables.IMAGES.
        raw: folder that the images' paths start from.

    Returns: both tables, `images` with the stored sizes.
    """
    table, images = table.copy(), images.copy()
    with_area = (table["xmax"] > table["xmin"]) & (table["ymax"] > table["ymin"])
    needed = images["width"].notna() & images["image_id"].isin(table["image_id"])
    for row, image in images[needed].iterrows():
        try:
            turn = STORED[image_orientation(raw / image["path"])]
        except DataError:  # nothing was predicted for it
            continue
        mask = with_area & (table["image_id"] == image["image_id"])
        size = (int(image["width"]), int(image["height"]))
        if mask.any() and turn != "identity":
            table.loc[mask, BOX] = turn_boxes(table.loc[mask, BOX].to_numpy("float64"), turn, *size)
        if SYMMETRIES[turn][0]:
            images.loc[row, ["width", "height"]] = size[::-1]
    return table, images
