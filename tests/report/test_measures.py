"""Tables and notes of evaluate on the page: intervals in brackets, undefined said, nothing needed to be there."""

import json
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from tropho.paths import Paths
from tropho.report import metric_tables, result_chapters
from tropho.report.blocks import Details, List, Table
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader


def nowhere(tmp_path) -> Folders:
    """Folders that are not there."""
    return Folders(**{field.name: tmp_path / "nothing" for field in fields(Folders)})


@pytest.fixture
def folders(tmp_path):
    """What evaluate left behind, with one undefined quantity."""
    paths = Paths(tmp_path, "cells_demo")
    to = paths.evaluate / "tables" / "test"
    to.mkdir(parents=True)
    metrics = pd.DataFrame([("balanced_accuracy", 0.9, 0.85, 0.95), ("mcc", np.nan, np.nan, np.nan)])
    metrics.columns = ["metric", "value", "low", "high"]
    metrics.astype(object).where(metrics.notna(), "undefined").to_csv(to / "metrics.csv", index=False)
    rows = [
        (name, *row) for name in "abcd" for row in (("tp", 7, 3, 11.5), ("dor", "undefined", "undefined", "undefined"))
    ]
    table = pd.DataFrame(rows, columns=["class", "quantity", "value", "low", "high"])
    table.to_csv(to / "quantities.csv", index=False)
    flat = {"balanced_accuracy": 0.9, "mcc": None}
    head = {"name": "balanced_accuracy", "value": 0.9, "low": 0.85, "high": 0.95, "on": "test"}
    written = {"headline": head, "test": flat, "test_without_leaks": {"balanced_accuracy": 0.8}}
    (paths.evaluate / "metrics.json").write_text(json.dumps(written))
    (paths.evaluate / "notes.json").write_text(json.dumps({"test": ["Trust PR."]}))
    return replace(nowhere(tmp_path), evaluate=paths.evaluate)


def test_the_headline_gives_its_interval_and_the_score_without_shared_images(folders, settings):
    head = result_chapters.headline(settings("cells_demo"), folders, Reader())
    assert head.value == "0.900"
    assert head.beside == "95 % interval 0.850 to 0.950 (resampled by group); test without shared images: 0.800"


def test_quantities_stand_by_class_three_a_table(folders):
    (fold,) = metric_tables.quantities(folders, Reader(), {"oof": "out of fold", "test": "test"})
    assert isinstance(fold, Details)
    tables = [block for block in fold.blocks if isinstance(block, Table)]
    assert [list(table.columns) for table in tables] == [["quantity", "a", "b", "c"], ["quantity", "d"]]
    assert list(tables[1].rows) == [["TP", "7 [3, 11.5]"], ["DOR", "undefined"]]


def test_the_chapter_says_undefined_and_how_to_read(folders, settings):
    section = result_chapters.evaluation(settings("cells_demo"), folders, Reader(), ImageEmbedder())
    (overall,) = [each for each in section.blocks if isinstance(each, Table) and each.title == "Over all classes"]
    assert ["MCC", "undefined", "–"] in list(overall.rows)
    assert [list(each.items) for each in section.blocks if isinstance(each, List)] == [["Trust PR."]]


@pytest.mark.parametrize(
    ("name", "value", "interval", "told"),
    [
        ("f1", 0.5, (0.25, 0.75), "0.500 [0.250, 0.750]"),
        ("f1", 0.5, (None, None), "0.500"),
        ("f1", None, (0.1, 0.2), "undefined"),
        ("support", 12.0, (8.0, 15.0), "12 [8, 15]"),
    ],
)
def test_a_metric_as_text(name, value, interval, told):
    assert metric_tables.with_interval(name, value, interval) == told


def test_nothing_written_is_nothing_shown(tmp_path):
    folders = nowhere(tmp_path)
    assert metric_tables.intervals(folders, Reader(), "oof") == {}
    assert metric_tables.quantities(folders, Reader(), {"oof": "out of fold"}) == []
    assert metric_tables.notes(folders, Reader(), {"oof": "out of fold"}) == []
