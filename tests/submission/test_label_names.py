"""Which class a word of a sample means, and what kind of values its cells hold."""

import numpy as np
import pytest

from tropho.submission.label_names import LabelNames
from tropho.submission.sample_file import are_probabilities, are_whole, string_groups, string_size
from tropho.submission.sample_layout import written_labels
from tropho.tables import parse_number


@pytest.mark.parametrize(
    ("classes", "column", "positive"),
    [
        (["cat", "dog"], "cat_or_dog", "dog"),
        (["cat", "dog"], "Dog score", "dog"),
        (["yes", "no"], "y", "yes"),
        (["no", "maybe"], "y", "maybe"),
        (["none", "normal"], "y", "normal"),
        (["tumor", "notumor"], "y", "tumor"),
        (["without cells", "with cells"], "y", "with cells"),
        (["0", "1"], "target", "1"),
        (["abnormal", "normal"], "label", "abnormal"),
        (["infected", "uninfected"], "label", "infected"),
        (["cat", "dog"], "is_cat", "cat"),
        (["NEG", "POS"], "y", "POS"),
        (["northern", "southern"], "y", "southern"),
    ],
)
def test_positive_class_of_column(classes, column, positive):
    assert LabelNames(classes).positive(column) == positive


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cat", "CAT"], {"cat": "cat"}),
        (["Cat", "CAT"], {}),
        (["p_cat", "dog"], {"p_cat": "cat", "dog": "dog"}),
        (["cat", "p_cat"], {"cat": "cat"}),
        (["bird"], {}),
    ],
)
def test_match_once_one_column_a_class(words, found):
    assert LabelNames(["cat", "dog"]).match(words, once=True) == found


@pytest.mark.parametrize(
    ("shown", "matched"),
    [
        (["0", "1", "2"], "cat dog ant"),
        (["1", "2", "3"], "cat dog ant"),
        (["1", "2"], "dog ant"),
        (["3"], "ant"),
        (["0", "3"], ""),
        (["4"], ""),
        (["1.5"], ""),
        (["1", "x"], ""),
    ],
)
def test_match_numbers_from_0_or_1(shown, matched):
    names = LabelNames(["cat", "dog", "ant"], {}, numbered=True)
    assert list(names.match(shown).values()) == matched.split()


def test_match_skips_merged_labels():
    names = LabelNames(["x", "y"], {"a": "x", "b": "x", "c": "y", "d": None})
    assert names.match(["a", "c", "d"]) == {"c": "y"}
    assert [names.original(each) for each in ("x", "y", "z")] == ["x", "c", "z"]
    assert names.writer(["c"])("y") == "c"
    assert LabelNames(["cat", "dog"]).writer(["CAT", "dog"])("cat") == "CAT"


def test_written_labels_and_issues():
    names = LabelNames(["cat", "dog"])
    assert written_labels(["cat", "cow"], names, "it") == (
        {"cat": "cat", "dog": "dog"}, [("sample_class", "column 'it' holds 'cow', which is no class (cat, dog).")]
    )  # fmt: skip
    assert written_labels(["?"], names, "it")[1] == [
        ("sample_class", "column 'it' holds '?', which is no class (cat, dog).")
    ]
    told = written_labels([*"vwxyz", "cat"], names, "it")[1][0][1]
    assert "'z', which" in told
    assert "'y', ..., which" in written_labels([*"uvwxyz", "cat"], names, "it")[1][0][1]


@pytest.mark.parametrize(
    ("cells", "whole", "probable"),
    [
        ([], False, False),
        (["0", "1"], True, True),
        (["0.0", "1e0"], False, True),
        (["1.01"], False, False),
        (["-0.1"], False, False),
        (["\u00b2"], False, False),
        (["1_0"], False, False),
        ([" 7 "], True, False),
    ],
)
def test_are_whole_and_are_probabilities(cells, whole, probable):
    assert (are_whole(cells), are_probabilities(cells)) == (whole, probable)


def test_parse_number_of_other_text():
    assert np.isnan([parse_number("1_000"), parse_number("x"), parse_number("")]).all()
    assert parse_number("-1e3") == -1000


@pytest.mark.parametrize(
    ("cells", "size"),
    [
        (["1 0 0 5 5"], 5),
        (["0.0 0 0 5 5", "0.5 0 0 5 5 1.0 1 1 2 2"], 5),
        (["x 1 0 0 5 5"], 6),
        (["x 1.1 0 0 5 5"], None),
        (["1.1 0 0 5 5"], None),
        (["x 1 0 0 inf 5"], None),
        ([], None),
        (["1 2 3"], None),
        ([" ".join(["1"] * 30)], None),
    ],
)
def test_string_size_and_groups(cells, size):
    assert string_size(cells) == size
    assert string_groups("a b c", 2) == [["a", "b"], ["c"]]
