"""Tables of the evaluation chapter: metrics overall and by class with their intervals, quantities, thresholds."""

from collections.abc import Mapping
from typing import Any

from tropho.metrics.metric_names import metric_name
from tropho.plots.format_numbers import COUNTS, as_number, count, format_value, leading_metrics, score
from tropho.report.blocks import Block, Details, Table, Text, text_tables
from tropho.report.reader import Reader, say

Interval = tuple[float | None, float | None]

SUBSETS = {"oof": "out of fold", "test": "test", "test_without_leaks": "test without leaked images"}
DECISIONS = {
    "quantities": "the most likely class is predicted",
    "quantities_at_thresholds": "a class is predicted at its threshold",
}
METRICS_PER_TABLE = 7
CLASSES_PER_TABLE = 3
MAX_CLASSES = 30
"""Classes whose quantities are shown."""


def intervals(reader: Reader, subset: str) -> dict[str, Interval]:
    """Read the 95 % interval of each metric of a subset; empty if there is no table."""
    table = reader.table(reader.paths.evaluate / "tables" / subset / "metrics.csv")
    return {} if table is None else {str(row["metric"]): _interval(row) for row in table.to_dict("records")}


def _interval(row: Mapping[Any, Any]) -> Interval:
    return as_number(row["low"]), as_number(row["high"])


def with_interval(metric: str, value: Any, interval: Interval | None = None) -> str:
    """Format a metric with its interval, such as "0.812 [0.790, 0.833]"; no brackets if there is none."""
    text = count if metric in COUNTS else score
    if interval is None or None in interval or as_number(value) is None:
        return text(value)
    return f"{text(value)} [{text(interval[0])}, {text(interval[1])}]"


def fitted_steps(reader: Reader) -> list[Block]:
    """List the steps of post-processing that were tried, with their gains; nothing where none was."""
    gains = reader.json(reader.paths.evaluate / "postprocess.json").get("gains")
    if not gains:
        return []
    rows = []
    for step, gain in gains.items():
        value, low, high = (_signed(gain[key]) for key in ("value", "low", "high"))
        rows.append([step, value, f"{low} to {high}", str(gain["groups"]), format_value(gain["accepted"])])
    columns = ["step", "change of the score", "95 % interval", "groups", "kept"]
    return [Table("Post-processing fitted out of fold", columns, rows, note=say("fitted_steps"))]


def _signed(value: Any) -> str:
    number = as_number(value)
    return "undefined" if number is None else f"{number:+.4f}".replace("-", "−")


def overall_table(metrics: Mapping[str, Any], reader: Reader) -> list[Block]:
    """Metrics over all classes except the headline's, one column a subset."""
    columns: dict[str, dict[str, str]] = {}
    names: set[str] = set()
    for subset, title in SUBSETS.items():
        spans = intervals(reader, subset)
        values = {name: value for name, value in metrics.get(subset, {}).items() if "/" not in name}
        names |= set(values)
        values.pop(metrics["headline"]["name"], None)
        if values:
            columns[title] = {
                metric_name(name): with_interval(name, value, spans.get(name)) for name, value in values.items()
            }
    bracketed = any("[" in cell for cells in columns.values() for cell in cells.values())
    notes = [say("intervals")] * bracketed + [say("two_maps")] * ({"leaderboard_map", "map50"} <= names)
    return text_tables("All classes", "metric", columns, len(SUBSETS), " ".join(notes))


def class_tables(values: Mapping[str, Any], leading: bool, subset: str) -> list[Block]:
    """Metrics by class, from keys such as "f1/cat": the leading ones or all others; `subset` is named in the title."""
    columns: dict[str, dict[str, str]] = {}
    for key, value in values.items():
        metric, _, name = key.partition("/")
        if name:
            columns.setdefault(metric, {})[name] = with_interval(metric, value)
    first = leading_metrics(list(columns))
    shown = first if leading else [metric for metric in columns if metric not in first]
    named = {metric_name(metric).replace("mAP", "AP"): columns[metric] for metric in shown}
    title = f"{'By' if leading else 'More by'} class, {SUBSETS[subset]}"
    return text_tables(title, "class", named, METRICS_PER_TABLE)


def quantity_tables(reader: Reader) -> list[Block]:
    """Every quantity of the confusion matrix, each class against the rest, hidden by subset until opened."""
    blocks: list[Block] = []
    for subset, title in SUBSETS.items():
        tables: list[Block] = []
        cells: list[str] = []
        for name, decision in DECISIONS.items():
            table = reader.table(reader.paths.evaluate / "tables" / subset / f"{name}.csv")
            columns: dict[str, dict[str, str]] = {}
            for row in [] if table is None else table.to_dict("records"):
                cells.append(with_interval(str(row["quantity"]), row["value"], _interval(row)))
                columns.setdefault(str(row["class"]), {})[metric_name(str(row["quantity"]))] = cells[-1]
            more = f" (the first {MAX_CLASSES} of {len(columns)} classes; the CSV file has all)"
            heading = f"Each class against the rest, {title}, if {decision}{more if len(columns) > MAX_CLASSES else ''}"
            shown = dict(list(columns.items())[:MAX_CLASSES])
            tables += text_tables(heading, "quantity", shown, CLASSES_PER_TABLE)
        if tables:
            bracketed = any("[" in cell for cell in cells)
            note = Text(f"{say('intervals')} " * bracketed + "Undefined: the formula divides by 0.")
            blocks.append(Details(f"All quantities of the confusion matrix, {title}", [note, *tables]))
    return blocks


def threshold_table(reader: Reader) -> list[Block]:
    """The threshold of each class, and the rule that evaluate used."""
    columns: dict[str, dict[str, str]] = {}
    for name, value in reader.json(reader.paths.evaluate / "thresholds.json").items():
        for key, number in value.items():
            columns.setdefault(metric_name(key), {})[name] = score(number)
    rule = reader.json(reader.paths.evaluate / "manifest.json").get("threshold_rule")
    note = f"Rule: {rule} on out-of-fold predictions." if rule else ""
    return text_tables("Thresholds, chosen out of fold", "class", columns, METRICS_PER_TABLE, note)
