"""Numbers as the report prints them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.plots import format_numbers, style


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.87349, "0.873"),
        (-0.25, "−0.250"),
        (None, "undefined"),
        (math.nan, "undefined"),
        (math.inf, "∞"),
        (123.456, "123.5"),
        (54_321.9, "54,322"),
    ],
)
def test_score(value, text):
    assert format_numbers.score(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "–"), (math.inf, "–")],
)
def test_duration(seconds, text):
    assert format_numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(812, "812 bytes"), (4_500_000, "4.5 MB"), (1_240_000_000, "1.24 GB"), ("x", "–")]
)
def test_size(size, text):
    assert format_numbers.size(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (12345, "12,345"),
        (0.00123456, "0.001235"),
        ([], "none"),
        ({"a": [1, 2]}, "a: (1, 2)"),
    ],
)
def test_anything(value, text):
    assert format_numbers.format_value(value) == text


@given(st.text())
def test_chart_labels_never_hold_a_formula_or_a_line_break(text):
    label = style.plain(text)
    assert "$" not in label.replace(r"\$", "")
    assert label.isprintable()
    assert not label.startswith("_")
    assert len(label.replace(r"\$", "$")) <= 29
