"""Tests of the metric tables: intervals in brackets, undefined values named, files that may be absent."""

import json

import numpy as np
import pandas as pd
import pytest

from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.paths import Paths
from tropho.report import comparison, metric_tables, result_chapters
from tropho.report.blocks import Details, List, Table
from tropho.report.reader import Reader


@pytest.fixture
def reader(tmp_path, settings):
    """Reader of what evaluate writes, with one undefined quantity."""
    paths = Paths(tmp_path, "cells_demo")
    folder = paths.evaluate / "tables" / "test"
    folder.mkdir(parents=True)
    metrics = pd.DataFrame([("balanced_accuracy", 0.9, 0.85, 0.95), ("mcc", np.nan, np.nan, np.nan)])
    metrics.columns = ["metric", "value", "low", "high"]
    metrics.astype(object).where(metrics.notna(), "undefined").to_csv(folder / "metrics.csv", index=False)
    rows = [
        (name, *row) for name in "abcd" for row in (("tp", 7, 3, 11.5), ("dor", "undefined", "undefined", "undefined"))
    ]
    table = pd.DataFrame(rows, columns=["class", "quantity", "value", "low", "high"])
    table.to_csv(folder / "quantities.csv", index=False)
    head = {"name": "balanced_accuracy", "value": 0.9, "low": 0.85, "high": 0.95, "subset": "test"}
    test = {"balanced_accuracy": 0.9, "mcc": None}
    written = {"headline": head, "test": test, "test_without_leaks": {"balanced_accuracy": 0.8}}
    (paths.evaluate / "metrics.json").write_text(json.dumps(written))
    (paths.evaluate / "notes.json").write_text(json.dumps({"test": ["Trust PR."]}))
    return Reader(settings("cells_demo"), paths)


def test_headline_gives_interval_and_score_without_leaks(reader):
    head = result_chapters.headline(reader)
    assert head.value == "0.900"
    assert head.interval == "95 % interval 0.850 to 0.950"
    assert head.details == ("test without leaked images: 0.800",)


def test_quantity_tables_hold_three_classes_each(reader):
    (details,) = metric_tables.quantity_tables(reader)
    assert isinstance(details, Details)
    tables = [block for block in details.blocks if isinstance(block, Table)]
    assert [list(table.columns) for table in tables] == [["quantity", "a", "b", "c"], ["quantity", "d"]]
    assert list(tables[1].rows) == [["TP", "7 [3, 11.5]"], ["DOR", "undefined"]]
    assert details.blocks[0].text.startswith("In brackets")


def test_quantity_tables_mention_brackets_only_if_there_are_any(reader):
    path = reader.paths.evaluate / "tables" / "test" / "quantities.csv"
    pd.read_csv(path).assign(low="undefined").to_csv(path, index=False)
    (details,) = metric_tables.quantity_tables(reader)
    assert details.blocks[0].text == "Undefined: the formula divides by 0."


def test_evaluation_shows_undefined(reader):
    blocks = result_chapters.evaluation(reader)
    (overall,) = [block for block in blocks if isinstance(block, Table) and block.title == "All classes"]
    assert list(overall.columns) == ["metric", "test"]
    assert list(overall.rows) == [["MCC", "undefined"]]


def test_discussion_shows_notes(reader):
    blocks = comparison.discussion(reader)
    assert [list(block.items) for block in blocks if isinstance(block, List)] == [["Trust PR."]]


@pytest.mark.parametrize(
    ("name", "value", "interval", "text"),
    [
        ("f1", 0.5, (0.25, 0.75), "0.500 [0.250, 0.750]"),
        ("f1", 0.5, (None, None), "0.500"),
        ("f1", 0.5, None, "0.500"),
        ("f1", None, (0.1, 0.2), "undefined"),
        ("support", 12.0, (8.0, 15.0), "12 [8, 15]"),
        ("fp", 34, (24, 44.02499999999998), "34 [24, 44]"),
    ],
)
def test_with_interval_formats(name, value, interval, text):
    assert metric_tables.with_interval(name, value, interval) == text


def test_threshold_table_names_the_rule(cells_reader):
    (table,) = metric_tables.threshold_table(cells_reader)
    assert table.note == ""
    (cells_reader.paths.evaluate / "manifest.json").write_text(
        json.dumps({"threshold_rule": "a recall of at least 0.9"})
    )
    (table,) = metric_tables.threshold_table(cells_reader)
    assert table.note == "Rule: a recall of at least 0.9 on out-of-fold predictions."


def test_metric_tables_without_files_are_empty(tmp_path, settings):
    reader = Reader(settings("cells_demo"), Paths(tmp_path, "cells_demo"))
    assert metric_tables.intervals(reader, "oof") == {}
    assert metric_tables.quantity_tables(reader) == []
    assert metric_tables.threshold_table(reader) == []


def test_fitted_steps_show_gain_interval_and_whether_they_are_kept(reader):
    gain = {"value": 0.0123, "low": -0.001, "high": None, "groups": 9, "accepted": False}
    gains = {"fusion": gain, "box sizes": {**gain, "low": 0.01, "high": 0.02, "groups": 30, "accepted": True}}
    (reader.paths.evaluate / "postprocess.json").write_text(json.dumps({"gains": gains}))
    (table,) = metric_tables.fitted_steps(reader)
    assert table.rows == [
        ["fusion", "+0.0123", "−0.0010 to undefined", "9", "no"],
        ["box sizes", "+0.0123", "+0.0100 to +0.0200", "30", "yes"],
    ]
    assert f"at least {FEW_GROUPS} groups" in table.note
    assert table in result_chapters.evaluation(reader)
    (reader.paths.evaluate / "postprocess.json").write_text("{}")
    assert metric_tables.fitted_steps(reader) == []
