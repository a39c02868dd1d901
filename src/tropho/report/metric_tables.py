"""Tables of the evaluation chapter: metrics overall and by class with their intervals, quantities, thresholds."""

from collections.abc import Mapping, Sequence
from typing import Any

from tropho.plots.format_numbers import (
    as_number,
    class_metric_name,
    count,
    is_count,
    leading_metrics,
    metric_name,
    score,
)
from tropho.report.blocks import Block, Details, Table, Text
from tropho.report.reader import Reader

Interval = tuple[float | None, float | None]
Metrics = Mapping[str, Any]

SUBSETS = {"oof": "out of fold", "test": "test", "test_without_leaks": "test without leaked images"}
DECISIONS = {
    "quantities": "the most likely class is predicted",
    "quantities_at_thresholds": "a class is predicted at its threshold",
}
INTERVAL_NOTE = "In brackets: 95 % bootstrap intervals, resampled by group."
MAP_NOTE = (
    "Leaderboard mAP follows the Lacuna challenge: area under all points of the curve, pixels counted inclusively, and "
    "the negative class, if there is one, counts as a class. mAP50 follows COCO: 101 points, boxes alone."
)
MAX_CLASSES = 100
"""Classes in a table with one row a class."""
CLASSES_PER_TABLE = 3
MAX_CLASS_COLUMNS = 30
METRICS_PER_TABLE = 7


def read_metrics(reader: Reader) -> dict[str, Metrics]:
    """Read metrics.json; values that are no mapping are left out."""
    metrics = reader.json(reader.paths.evaluate / "metrics.json")
    return {name: values for name, values in metrics.items() if isinstance(values, dict)}


def intervals(reader: Reader, subset: str) -> dict[str, Interval]:
    """Read the 95 % interval of each metric of a subset; empty if there is no table."""
    table = reader.table(reader.paths.evaluate / "tables" / subset / "metrics.csv")
    if table is None or not {"metric", "low", "high"} <= set(table):
        return {}
    return {str(row["metric"]): _interval(row) for row in table.to_dict("records")}


def _interval(row: Mapping[Any, Any]) -> Interval:
    return as_number(row.get("low")), as_number(row.get("high"))


def with_interval(metric: str, value: Any, interval: Interval = (None, None)) -> str:
    """Format a metric with its interval, such as "0.812 [0.790, 0.833]"; no brackets if there is none."""
    text = count if is_count(metric) else score
    if None in interval or as_number(value) is None:
        return text(value)
    return f"{text(value)} [{text(interval[0])}, {text(interval[1])}]"


def overall_table(metrics: Mapping[str, Metrics], reader: Reader) -> list[Block]:
    """Metrics over all classes except the headline's, one column a subset."""
    subsets = [subset for subset in SUBSETS if metrics.get(subset)]
    names = dict.fromkeys(name for subset in subsets for name in metrics[subset] if "/" not in name)
    spans = {subset: intervals(reader, subset) for subset in subsets}
    rows = [
        [metric_name(name), *(_overall_cell(name, metrics[subset], spans[subset]) for subset in subsets)]
        for name in names
        if name != metrics.get("headline", {}).get("name")
    ]
    notes = [
        INTERVAL_NOTE if any(spans.values()) else "",
        MAP_NOTE if {"leaderboard_map", "map50"} <= set(names) else "",
    ]
    columns = ["metric", *(SUBSETS[subset] for subset in subsets)]
    return [Table("All classes", columns, rows, note=" ".join(filter(None, notes)))] if rows else []


def _overall_cell(name: str, values: Metrics, spans: Mapping[str, Interval]) -> str:
    return with_interval(name, values[name], spans.get(name, (None, None))) if name in values else "–"


def class_tables(values: Metrics, leading: bool) -> list[Block]:
    """Metrics by class, from keys such as "f1/cat": the leading ones or all others, few columns a table."""
    classes: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        metric, _, name = key.partition("/")
        if name:
            classes.setdefault(name, {})[metric] = value
    names = list(dict.fromkeys(metric for row in classes.values() for metric in row))
    first = leading_metrics(names)
    shown = first if leading else [name for name in names if name not in first]
    note = f"The first {MAX_CLASSES} of {len(classes):,} classes; metrics.json has all." * (len(classes) > MAX_CLASSES)
    tables: list[Block] = []
    for part in _chunks(shown, METRICS_PER_TABLE):
        rows = [
            [name, *(with_interval(metric, row[metric]) if metric in row else "–" for metric in part)]
            for name, row in list(classes.items())[:MAX_CLASSES]
        ]
        columns = ["class", *map(class_metric_name, part)]
        tables.append(Table("" if tables else "By class", columns, rows, note=note))
    return tables


def quantity_tables(reader: Reader, subsets: Mapping[str, str] = SUBSETS) -> list[Block]:
    """Every quantity of the confusion matrix, each class against the rest, hidden by subset until opened."""
    blocks: list[Block] = []
    for subset, title in subsets.items():
        tables: list[Table] = []
        for name, decision in DECISIONS.items():
            table = reader.table(reader.paths.evaluate / "tables" / subset / f"{name}.csv")
            if table is not None and {"class", "quantity", "value", "low", "high"} <= set(table):
                tables += _class_columns(table.to_dict("records"), f"Each class against the rest, if {decision}")
        if tables:
            bracketed = any("[" in cell for table in tables for row in table.rows for cell in row[1:])
            note = f"{INTERVAL_NOTE} " * bracketed + "Undefined: the formula divides by 0."
            blocks.append(Details(f"All quantities of the confusion matrix, {title}", [Text(note), *tables]))
    return blocks


def _class_columns(records: Sequence[Mapping[Any, Any]], title: str) -> list[Table]:
    """One row a quantity and one column a class, few classes a table."""
    rows = {(str(row["class"]), str(row["quantity"])): row for row in records}
    classes, names = (list(dict.fromkeys(key[i] for key in rows)) for i in (0, 1))
    if len(classes) > MAX_CLASS_COLUMNS:
        title += f" (the first {MAX_CLASS_COLUMNS} of {len(classes):,} classes; the CSV files have all)"

    def cell(name: str, quantity: str) -> str:
        row = rows.get((name, quantity), {})
        return with_interval(quantity, row.get("value"), _interval(row))

    tables: list[Table] = []
    for part in _chunks(classes[:MAX_CLASS_COLUMNS], CLASSES_PER_TABLE):
        cells = [[metric_name(quantity), *(cell(name, quantity) for name in part)] for quantity in names]
        tables.append(Table("" if tables else title, ["quantity", *part], cells))
    return tables


def threshold_table(reader: Reader) -> list[Block]:
    """The threshold of each class, and the rule that evaluate used."""
    thresholds = reader.json(reader.paths.evaluate / "thresholds.json")
    if not thresholds:
        return []
    rule = reader.json(reader.paths.evaluate / "manifest.json").get("threshold_rule")
    note = f"Rule: {rule} on out-of-fold predictions." if rule else ""
    if len(thresholds) > MAX_CLASSES:
        note += f" The first {MAX_CLASSES} of {len(thresholds):,} classes; thresholds.json has all."
    values = {
        name: value if isinstance(value, dict) else {"threshold": value}
        for name, value in list(thresholds.items())[:MAX_CLASSES]
    }
    keys = list(dict.fromkeys(key for value in values.values() for key in value))
    rows = [[name, *(score(value.get(key)) for key in keys)] for name, value in values.items()]
    return [Table("Thresholds, chosen out of fold", ["class", *map(metric_name, keys)], rows, note=note.strip())]


def _chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
