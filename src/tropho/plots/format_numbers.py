"""Numbers as people read them: enough digits to compare by, no more."""

import math
from typing import Any


def score(value: Any) -> str:
    """A metric with three decimals (four digits above ten); "undefined" for None and NaN."""
    number = as_number(value)
    if number is None:
        return "undefined"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{number:.3f}" if abs(number) < 10 else f"{number:,.4g}" if abs(number) < 1e4 else f"{number:,.0f}"
    return text.replace("-", "−")


def count(value: Any) -> str:
    """A whole number with thousands apart; other things as text."""
    number = as_number(value)
    if number is None or not number.is_integer():
        return str(value)
    return f"{int(number):,}"


def format_value(value: Any) -> str:
    """A value of any type: whole numbers as counts, others with four digits, lists joined, None as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(format_value(each) for each in value) or "none"
    if isinstance(value, dict):
        return ", ".join(_pair(key, each) for key, each in value.items()) or "none"
    return str(value)


def _pair(key: Any, value: Any) -> str:
    told = format_value(value)
    return f"{key}: ({told})" if isinstance(value, (dict, list)) and value else f"{key}: {told}"


def duration(seconds: Any) -> str:
    """Seconds as "42 s", "3 min 20 s" or "2 h 05 min"; a dash when unknown."""
    number = as_number(seconds)
    if number is None or math.isinf(number):
        return "–"
    if number < 1:
        return f"{number:.2f} s"
    whole = round(number)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(number_of_bytes: Any) -> str:
    """Bytes as kB or MB, decimal; a dash when unknown."""
    number = as_number(number_of_bytes)
    if number is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f} bytes"


def as_number(value: Any) -> float | None:
    """A finite or infinite float; None for NaN and for what is not a number."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def humanize(name: object) -> str:
    """A key as people read it: "image_sizes" -> "image sizes"."""
    return str(name).replace("_", " ").strip()
