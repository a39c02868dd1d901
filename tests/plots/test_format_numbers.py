"""Tests of formatted numbers, times and names of metrics."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.metrics.metric_names import metric_name
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
def test_score_formats(value, text):
    assert format_numbers.score(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(34, "34"), (1234.0, "1,234"), (44.02499999999998, "44"), (11.5, "11.5"), (None, "undefined")]
)
def test_count_formats(value, text):
    assert format_numbers.count(value) == text


@pytest.mark.parametrize(
    ("names", "leading"),
    [
        (["support", "recall", "tpr", "precision", "ppv", "fn"], ["precision", "recall", "support"]),
        (["tpr", "ppv"], ["ppv", "tpr"]),
        (list("abcdefgh"), list("abcdef")),
    ],
)
def test_leading_metrics_picks_known_without_synonyms(names, leading):
    assert format_numbers.leading_metrics(names) == leading


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "–"), (math.inf, "–")],
)
def test_duration_formats(seconds, text):
    assert format_numbers.duration(seconds) == text


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
def test_format_value_formats(value, text):
    assert format_numbers.format_value(value) == text


@given(st.text())
def test_plain_never_holds_formula_or_line_break(text):
    label = style.plain(text)
    assert "$" not in label.replace(r"\$", "")
    assert label.isprintable()
    assert not label.startswith("_")
    assert len(label.replace(r"\$", "$")) <= 29


@pytest.mark.parametrize(
    ("high", "labels"),
    [
        (2e-3, ["0.0005", "0.001", "0.0015", "0.002"]),  # less than five-fold: at even distances
        (5e-3, ["0.0005", "0.001", "0.002", "0.005"]),
        (1.0, ["0.001", "0.01", "0.1", "1"]),
    ],
)
def test_png_bytes_spaces_log_ticks(high, labels):
    figure, (axes,) = style.subplots(1, 1, style.THIRD)
    axes.set_xscale("log")
    axes.set_xlim(4.5e-4, high * 1.1)
    style.png_bytes(figure)
    ticks = axes.xaxis.get_major_ticks() + axes.xaxis.get_minor_ticks()
    inside = [tick for tick in ticks if 4.5e-4 <= tick.get_loc() <= high * 1.1]
    assert [tick.label1.get_text() for tick in inside if tick.label1.get_text()] == labels


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2026-11-27T03:21:36.711+00:00", "2026-11-27 03:21 UTC"),
        ("2026-11-27T03:21:36+02:00", "2026-11-27 01:21 UTC"),
        ("never", "never"),
    ],
)
def test_moment_formats(time, text):
    assert format_numbers.moment(time) == text


def test_metric_name_says_it_in_words():
    names = ["leaderboard_map", "balanced_accuracy", "tp", "lr_minus"]
    assert [metric_name(name) for name in names] == ["mean AP", "balanced accuracy", "TP", "LR−"]
