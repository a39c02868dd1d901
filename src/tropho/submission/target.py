"""The layout that a task's submission has, and the images that it is of."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.files import read_json
from tropho.paths import Paths
from tropho.submission.layout import layout_of, rows_like, rows_of
from tropho.submission.layout_types import Layout, Row
from tropho.submission.sample_file import Sample, find_sample, read_sample
from tropho.submission.sample_ids import Matches, match_ids, with_matches
from tropho.tables import IMAGES, read_table


@dataclass(frozen=True)
class Target:
    """What is to be submitted: the competition's sample, if there is one, and the layout."""

    sample: Sample | None
    matches: Matches
    layout: Layout

    @property
    def followed(self) -> Sample | None:
        """The sample, where the layout is its own."""
        return None if self.layout.problem else self.sample

    def rows(self, image_ids: list[str]) -> list[Row]:
        """The images to submit: the sample's in its order, or else these."""
        if self.followed is not None:
            return rows_of(self.followed, self.matches.images)
        return [Row(each, each, {}) for each in image_ids]

    def rows_of_files(self, names: list[str]) -> list[Row]:
        """Rows for image files that need not be the sample's, named as it names images."""
        if self.followed is None:
            return [Row(each, each, {}) for each in names]
        known = {
            image_id: each for each, image_id in match_ids(self.followed.ids, dict.fromkeys(names, "")).images.items()
        }
        return rows_like(self.followed, {each: known.get(each, "") for each in names})

    def sizes(self, images: pd.DataFrame) -> pd.DataFrame:
        """Columns image_id (as the sample names it), width and height."""
        ids = {image_id: each for each, image_id in self.matches.images.items()}
        named = images.assign(image_id=images["image_id"].map(ids))
        return named.loc[named["image_id"].notna(), ["image_id", "width", "height"]]


def target_of(paths: Paths, settings: TaskConfig, classes: list[str]) -> Target:
    """Find the task's sample submission in its raw files; without one the layout is Tropho's own."""
    path = find_sample(paths.raw, settings.audit.sample) if paths.raw.is_dir() else None
    audited = paths.audit / "summary.json"
    columns = read_json(audited).get("columns") if audited.exists() else None
    if path is None:
        return Target(None, Matches(), layout_of(None, settings, classes, columns))
    sample, matches, table = read_sample(path), Matches(), paths.audit / "images.csv"
    if table.exists():
        images = read_table(table, IMAGES)
        sample, matches = with_matches(sample, images.loc[images["subset"] == "test", ["image_id", "path"]])
    return Target(sample, matches, layout_of(sample, settings, classes, columns))


def audited_labels(sample: Path, root: Path) -> list[str]:
    """The labels that the audit expects in submissions by this sample; none if it is no audited task's."""
    folder = (root / "data" / "raw").resolve()
    if not sample.resolve().is_relative_to(folder) or sample.resolve().parent == folder:
        return []
    task = sample.resolve().relative_to(folder).parts[0]
    summary = Paths(root, task).audit / "summary.json"
    return list((read_json(summary).get("sample") or {}).get("labels", [])) if summary.exists() else []
