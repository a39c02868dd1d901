"""The chapter on the split: what each fold holds, and how far a random fold flatters."""

import json

import pytest

from tropho.paths import Paths
from tropho.report.blocks import Table
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader
from tropho.report.split_chapter import split


@pytest.fixture
def chapter(tmp_path, helpers, settings):
    """A function from a task's name, its world and metrics to the blocks of the chapter."""

    def make(name, world, metrics):
        helpers["write_data"](tmp_path, name, world)
        paths = Paths(tmp_path, name)
        paths.evaluate.mkdir(parents=True)
        (paths.evaluate / "metrics.json").write_text(json.dumps(metrics))
        known = {each: getattr(paths, each) for each in Folders.__dataclass_fields__ if each != "params"}
        return split(settings(name), Folders(**known, params=tmp_path), Reader(), ImageEmbedder()).blocks

    return make


def column(table: Table, name: str) -> dict[str, str]:
    place = list(table.columns).index(name)
    return {row[0]: row[place] for row in table.rows}


def test_each_fold_of_photos(chapter, detections):
    images = detections.images
    images.loc[[2, 4], "width"] = 200
    (table,) = (block for block in chapter("smear_demo", detections, {}) if isinstance(block, Table))
    part = {"fold 0": [3, 6], "fold 1": [1, 4, 7], "fold 2": [2, 5, 8], "test": [9, 10, 11], "excluded": [0]}
    boxes = detections.boxes["image_id"].value_counts()
    for name, rows in part.items():
        ids = images.loc[rows, "image_id"]
        counts = ids.map(boxes).fillna(0)
        assert column(table, "images")[name] == str(len(rows))
        assert column(table, "groups")[name] == str(images.loc[rows, "group"].nunique())
        assert column(table, "200x64")[name] == str((images.loc[rows, "width"] == 200).sum())
        assert column(table, "images without boxes")[name] == str((counts == 0).sum())
        assert float(column(table, "boxes an image (median)")[name]) == counts.median()
        trophozoites = detections.boxes[detections.boxes["label"] == "Trophozoite"]
        assert column(table, "Trophozoite boxes")[name] == str(trophozoites["image_id"].isin(ids).sum())


def test_each_fold_of_cells(chapter, cells):
    (table,) = (block for block in chapter("cells_demo", cells, {}) if isinstance(block, Table))
    assert list(table.columns) == ["part", "images", "groups", "Parasitized", "Uninfected"]


RANDOM = {
    "score": 0.93,
    "score_low": 0.9,
    "score_high": 0.96,
    "grouped": 0.81,
    "grouped_low": 0.75,
    "grouped_high": 0.86,
    "flatters": 0.12,
    "images": 1040,
    "seen": 1034,
}
