"""The part of the evaluation chapter on what evaluate wrote as tables and notes: intervals and every quantity."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tropho.plots import format_numbers
from tropho.plots.metric_names import is_count, metric_name
from tropho.report.blocks import Block, Details, List, Table, Text
from tropho.report.reader import Folders, Reader

Interval = tuple[float | None, float | None]

DECISIONS = {
    "quantities": "as the likeliest class",
    "quantities_at_thresholds": "at its threshold, chosen out of fold",
}
CLASSES_A_TABLE = 3
MOST_CLASSES = 30


def intervals(folders: Folders, reader: Reader, subset: str) -> dict[str, Interval]:
    """The 95 % interval of each metric of a set of images; empty where evaluate wrote none."""
    table = reader.table(folders.evaluate / "tables" / subset / "metrics.csv")
    if table is None or not {"metric", "low", "high"} <= set(table):
        return {}
    return {
        str(row["metric"]): (format_numbers.as_number(row["low"]), format_numbers.as_number(row["high"]))
        for row in table.to_dict("records")
    }


def with_interval(name: str, value: Any, interval: Interval) -> str:
    """A metric as text, such as "0.812 [0.790, 0.833]"; without brackets where there is no interval."""
    told = format_numbers.count(value) if is_count(name) else format_numbers.score(value)
    low, high = interval
    if low is None or high is None or format_numbers.as_number(value) is None:
        return told
    ends = [format_numbers.count(each) if is_count(name) else format_numbers.score(each) for each in interval]
    return f"{told} [{ends[0]}, {ends[1]}]"


def notes(folders: Folders, reader: Reader, titles: Mapping[str, str]) -> list[Block]:
    """How to read the numbers, by set of images."""
    said = reader.json(folders.evaluate / "notes.json")
    blocks: list[Block] = []
    for subset, title in titles.items():
        sentences = said.get(subset)
        if isinstance(sentences, list) and sentences:
            blocks += [Text(f"How to read the results, {title}:"), List([str(each) for each in sentences])]
    return blocks


def quantities(folders: Folders, reader: Reader, titles: Mapping[str, str]) -> list[Block]:
    """Every quantity of the confusion matrix, each class against the rest, folded away by set of images."""
    blocks: list[Block] = []
    for subset, title in titles.items():
        tables: list[Block] = []
        for name, decision in DECISIONS.items():
            table = reader.table(folders.evaluate / "tables" / subset / f"{name}.csv")
            if table is not None:
                tables += _class_columns(table, f"Each class against the rest, called {decision}")
        if tables:
            note = Text(
                "In brackets: 95 % bootstrap intervals, resampled by group. Undefined is what would be a division by 0."
            )
            blocks.append(Details(f"Every quantity of the confusion matrix, {title}", [note, *tables]))
    return blocks


def _class_columns(table: pd.DataFrame, title: str) -> list[Table]:
    """A row a quantity and a column a class, few classes a table."""
    if not {"class", "quantity", "value", "low", "high"} <= set(table):
        return []
    cells = {(str(row["class"]), str(row["quantity"])): row for row in table.to_dict("records")}
    classes, names = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    if len(classes) > MOST_CLASSES:
        title += f" (the first {MOST_CLASSES} of {len(classes):,} classes; the tables beside the figures have them all)"
    tables = []
    for start in range(0, min(len(classes), MOST_CLASSES), CLASSES_A_TABLE):
        part = classes[start : start + CLASSES_A_TABLE]
        rows = [[metric_name(name), *(_cell(name, cells.get((each, name), {})) for each in part)] for name in names]
        tables.append(Table("" if start else title, ["quantity", *part], rows))
    return tables


def _cell(name: str, row: Mapping[Any, Any]) -> str:
    interval = format_numbers.as_number(row.get("low")), format_numbers.as_number(row.get("high"))
    return with_interval(name, row.get("value"), interval)
