"""Quantities at chosen thresholds: each class called for itself, undefined ones not zero."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from tropho.metrics.confusion import quantities_table, threshold_table
from tropho.metrics.curves import best_threshold

CLASSES = ["a", "b", "c"]


def value(table: pd.DataFrame, label: str, quantity: str) -> float:
    return table.set_index(["class", "quantity"]).loc[(label, quantity), "value"]


@pytest.fixture
def case(rng):
    truth = rng.integers(0, 3, 120)
    scores = rng.dirichlet(np.ones(3), 120).round(1)  # many ties
    scores[np.arange(120), truth] += 0.3
    return truth, scores


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_agrees_with_scikit_learn_class_by_class(case, beta):
    truth, scores = case
    cuts = [0.35, 0.5, 0.2]
    table = threshold_table(truth, scores, cuts, CLASSES, np.arange(120) // 3, beta)
    for number, label in enumerate(CLASSES):
        mine, called = truth == number, scores[:, number] >= cuts[number]
        (tn, fp), (fn, tp) = sk.confusion_matrix(mine, called)
        assert [value(table, label, name) for name in ("tp", "fn", "fp", "tn")] == [tp, fn, fp, tn]
        expected = {
            "ppv": sk.precision_score(mine, called),
            "tpr": sk.recall_score(mine, called),
            "tnr": sk.recall_score(~mine, ~called),
            "npv": sk.precision_score(~mine, ~called),
            "f1": sk.f1_score(mine, called),
            "f_beta": sk.fbeta_score(mine, called, beta=beta),
            "accuracy": sk.accuracy_score(mine, called),
            "balanced_accuracy": sk.balanced_accuracy_score(mine, called),
            "informedness": sk.balanced_accuracy_score(mine, called, adjusted=True),
            "mcc": sk.matthews_corrcoef(mine, called),
            "threat_score": sk.jaccard_score(mine, called),
            "lr_plus": sk.class_likelihood_ratios(mine, called)[0],
            "lr_minus": sk.class_likelihood_ratios(mine, called)[1],
        }
        assert {name: value(table, label, name) for name in expected} == pytest.approx(expected, abs=1e-12)


def test_the_chosen_threshold_gives_the_f_beta_that_it_was_chosen_for(case):
    truth, scores = case
    choices = [best_threshold(truth == number, scores[:, number], beta=2.0) for number in range(3)]
    cuts = [choice["threshold"] for choice in choices]
    table = threshold_table(truth, scores, cuts, CLASSES, np.arange(120), beta=2.0)
    for label, choice in zip(CLASSES, choices, strict=True):
        assert value(table, label, "f_beta") == pytest.approx(choice["f_beta"], abs=1e-12)
        assert value(table, label, "tpr") == pytest.approx(choice["recall"], abs=1e-12)


def test_a_class_absent_from_the_truth_and_one_never_called_are_undefined():
    truth, scores = np.array([0, 0, 1]), np.array([[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.7, 0.2, 0.1]])
    table = threshold_table(truth, scores, [0.75, None, 0.1], CLASSES, np.arange(3))
    assert value(table, "a", "f1") == 1.0
    assert np.isnan(value(table, "b", "ppv"))
    assert value(table, "b", "tpr") == 0.0
    assert np.isnan(value(table, "c", "tpr"))
    assert value(table, "c", "ppv") == 0.0
    row = table[(table["class"] == "c") & (table["quantity"] == "tpr")].iloc[0]
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


@pytest.mark.parametrize("label", [0, 1])
def test_one_image_and_one_class_alone(label):
    truth, scores = np.array([label]), np.array([[0.6, 0.4]])
    at_cut = threshold_table(truth, scores, [0.5, 0.5], ["a", "b"], np.zeros(1))
    likeliest = quantities_table(truth, np.array([0]), ["a", "b"], np.zeros(1))
    pd.testing.assert_frame_equal(at_cut, likeliest)  # at 0.5, two classes are called as the likeliest one
    assert value(at_cut, "a", "accuracy") == 1.0 - label
    assert np.isnan(value(at_cut, "a", "mcc"))
    assert at_cut[["low", "high"]].isna().all(axis=None)  # one group has no interval
