"""Label issues of images, and their ranking."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from tropho.evaluation.box_issues import share_above
from tropho.evaluation.classification_evaluator import find_label_issues
from tropho.tables import LABEL_ISSUES

CLASSES = ["cat", "dog", "emu"]


def test_find_label_issues_where_another_class_is_confident():
    truth = np.array([0, 0, 0, 1, 1, 2])
    values = np.array(
        [
            [0.9, 0.1, 0.0],
            [0.8, 0.1, 0.1],
            [0.2, 0.8, 0.0],  # a dog: at least as sure as dogs are
            [0.1, 0.9, 0.0],
            [0.4, 0.6, 0.0],
            [0.3, 0.4, 0.3],  # likelier a dog than an emu, but less so than dogs are
        ]
    )
    table = find_label_issues(list("abcdef"), truth, values, CLASSES)
    told = table[["image_id", "action", "label", "reason", "kind", "given_label", "suggested_label"]]
    assert told.to_numpy().tolist() == [["c", "set label", "dog", "P(dog) is 0.80, P(cat) 0.20", "swap", "cat", "dog"]]
    assert table["score"].tolist() == [pytest.approx(0.8, abs=1e-6)]
    assert table.filter(regex="min|max").isna().all(axis=None)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == LABEL_ISSUES


def test_find_label_issues_suggests_no_absent_class():
    table = find_label_issues(["a", "b"], np.array([0, 1]), np.array([[0.1, 0.1, 0.8], [0.3, 0.7, 0.0]]), CLASSES)
    assert table.empty
    assert find_label_issues([], np.zeros(0, int), np.zeros((0, 3)), CLASSES).empty


def test_find_label_issues_ranks_flipped_digits_first(rng):
    """A model trained on labels with faults, out of fold, on 1,797 scanned digits."""
    pictures, digits = load_digits(return_X_y=True)
    flipped = rng.choice(len(digits), 60, replace=False)
    labels = digits.copy()
    labels[flipped] = (digits[flipped] + rng.integers(1, 10, 60)) % 10
    values = cross_val_predict(KNeighborsClassifier(10), pictures, labels, cv=3, method="predict_proba")
    names = [str(digit) for digit in range(10)]
    table = find_label_issues([str(row) for row in range(len(labels))], labels, values, names)
    rows = table["image_id"].astype(int).to_numpy()
    assert np.isin(rows[:40], flipped).mean() >= 0.9
    assert np.isin(flipped, rows).mean() >= 0.7
    caught = table[np.isin(rows, flipped)]
    right = caught["suggested_label"].astype(int).to_numpy() == digits[caught["image_id"].astype(int)]
    assert right.mean() >= 0.9


def classes(truth: list[int], *rows: list[float]) -> list[str]:
    ids = [str(number) for number in range(len(truth))]
    return find_label_issues(ids, np.array(truth), np.array(rows), ["cat", "dog"])["image_id"].tolist()


def test_find_label_issues_threshold_is_inclusive():
    assert classes([0, 1, 1], [0.75, 0.25], [0.25, 0.75], [0.75, 0.25]) == ["2"]  # just as sure as cats are
    assert classes([0, 1, 1], [0.76, 0.24], [0.25, 0.75], [0.75, 0.25]) == []


def test_find_label_issues_ignores_ties():
    assert classes([0, 1], [0.5, 0.5], [0.5, 0.5]) == []


def test_share_above_by_hand():
    values, groups = pd.Series([1.0, 2.0, 2.0, 3.0, 0.5]), pd.Series(["a", "a", "a", "a", "b"])
    assert share_above(values, groups).tolist() == [0.75, 0.25, 0.25, 0.0, 0.0]


def test_find_label_issues_without_images_of_a_class():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert classes([0, 0], [0.9, 0.1], [0.2, 0.8]) == []
