"""Names of classes for MLflow: ASCII, unique, and the same whenever the classes are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.metrics.metric_names import ascii_names
from tropho.tracking.tracker import mlflow_name


def test_classes_that_differ_in_symbols_alone_are_told_apart():
    classes = ["a+b", "a b", "a-b", "a/b", "a_b", "日本", "中国", ".."]
    names = ["a_b-2", "a b", "a-b", "a_b-3", "a_b", "__", "__-2", "__-3"]
    assert ascii_names(classes) == dict(zip(classes, names, strict=True))


@pytest.mark.parametrize("metric", ["oof/map50"])
@given(st.lists(st.text(min_size=1), unique=True))
def test_names_are_unique_and_mlflow_keeps_them(metric, classes):
    names = list(ascii_names(classes).values())
    assert len(set(names)) == len(names)
    assert [mlflow_name(f"{metric}/{name}") for name in names] == [f"{metric}/{name}" for name in names]
