"""Format numbers for readers."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

LEADING = ("ap", "map50", "map50_95", "precision", "recall", "ppv", "tpr", "f1", "roc_auc", "pr_auc", "support")
SYNONYMS = {"ppv": "precision", "tpr": "recall"}
COUNTS = ("tp", "fn", "fp", "tn", "support", "images", "boxes", "truths", "predictions")
"""Metrics that are whole numbers."""


def score(value: Any) -> str:
    """Format a metric with three decimals (four digits above ten); "undefined" for None and NaN."""
    number = as_number(value)
    if number is None:
        return "undefined"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{number:.3f}" if abs(number) < 10 else f"{number:,.4g}" if abs(number) < 1e4 else f"{number:,.0f}"
    return text.replace("-", "−")


def count(value: Any) -> str:
    """Format a count with thousands separated, its fraction with one decimal; "undefined" for None and NaN."""
    number = as_number(value)
    return "undefined" if number is None else f"{number:,.1f}".removesuffix(".0")


def format_value(value: Any) -> str:
    """Format a value of any type: integers as counts, floats with four digits, lists joined, None as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(format_value(item) for item in value) or "none"
    if isinstance(value, dict):
        pairs = [(key, format_value(item), isinstance(item, (dict, list)) and item) for key, item in value.items()]
        return ", ".join(f"{key}: ({text})" if nested else f"{key}: {text}" for key, text, nested in pairs) or "none"
    return str(value)


def duration(seconds: Any) -> str:
    """Format seconds as "42 s", "3 min 20 s" or "2 h 05 min"; a dash if unknown."""
    number = as_number(seconds)
    if number is None or math.isinf(number):
        return "–"
    if number < 1:
        return f"{number:.2f} s"
    total = round(number)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def moment(time: Any) -> str:
    """Format an ISO time in UTC, such as "2026-11-27 03:21 UTC"; other text stays."""
    try:
        return f"{datetime.fromisoformat(str(time)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(time)


def as_number(value: Any) -> float | None:
    """Convert to a float, which may be infinite; None for NaN and for what is no number."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def humanize(name: object) -> str:
    """Turn a key into words: "image_sizes" -> "image sizes"."""
    return str(name).replace("_", " ").strip()


def leading_metrics(names: Sequence[str]) -> list[str]:
    """Pick the metrics by class that matter most, in order, without synonyms; the first six if none is known."""
    known = [name for name in LEADING if name in names and SYNONYMS.get(name) not in names]
    return known or list(names[:6])
