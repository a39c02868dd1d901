"""The two-by-two table's quantities: a case by hand, scikit-learn, and the undefined ones."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tropho.metrics.confusion import class_counts, quantities, quantities_table

HAND = {  # 20 sick and 80 well; 15 and 10 of them called sick
    "tp": 15,
    "fn": 5,
    "fp": 10,
    "tn": 70,
    "tpr": 0.75,
    "fnr": 0.25,
    "fpr": 0.125,
    "tnr": 0.875,
    "ppv": 0.6,
    "fdr": 0.4,
    "npv": 70 / 75,
    "for": 5 / 75,
    "lr_plus": 6.0,
    "lr_minus": 2 / 7,
    "dor": 21.0,
    "prevalence": 0.2,
    "prevalence_threshold": ((0.75 * 0.125) ** 0.5 - 0.125) / (0.75 - 0.125),
    "informedness": 0.625,
    "markedness": 0.6 + 70 / 75 - 1,
    "accuracy": 0.85,
    "balanced_accuracy": 0.8125,
    "f1": 30 / 45,
    "f_beta": 5 * 15 / (5 * 15 + 4 * 5 + 10),
    "fowlkes_mallows": (0.6 * 0.75) ** 0.5,
    "mcc": (0.75 * 0.875 * 0.6 * 70 / 75) ** 0.5 - (0.25 * 0.125 * 5 / 75 * 0.4) ** 0.5,
    "threat_score": 0.5,
}


def test_a_case_by_hand():
    values = quantities(*map(np.array, (15, 5, 10, 70)), beta=2.0)
    assert list(values) == list(HAND)
    assert {name: float(value) for name, value in values.items()} == pytest.approx(HAND, abs=1e-12)


def by_definition(tp: int, fn: int, fp: int, tn: int, beta: float) -> dict[str, float]:
    """The lecture's table as it is defined, in exact fractions up to the roots; NaN where something is divided by 0."""
    nan = math.nan

    def over(above, below):
        undefined = isinstance(above, float) or isinstance(below, float) or below == 0
        return nan if undefined else Fraction(above) / Fraction(below)

    def root(value):
        return nan if isinstance(value, float) else math.sqrt(value)

    p, n = tp + fn, fp + tn
    tpr, fnr, fpr, tnr = over(tp, p), over(fn, p), over(fp, n), over(tn, n)
    ppv, fdr, npv, omission = over(tp, tp + fp), over(fp, tp + fp), over(tn, tn + fn), over(fn, tn + fn)
    both = root(tpr * fpr)
    mcc = root(tpr * tnr * ppv * npv) - root(fnr * fpr * omission * fdr)
    squared = Fraction(beta) ** 2
    lr_plus, lr_minus = over(tpr, fpr), over(fnr, tnr)
    values = {
        "tp": tp, "fn": fn, "fp": fp, "tn": tn, "tpr": tpr, "fnr": fnr, "fpr": fpr, "tnr": tnr,
        "ppv": ppv, "fdr": fdr, "npv": npv, "for": omission, "lr_plus": lr_plus, "lr_minus": lr_minus,
        "dor": over(tp * tn, fp * fn),
        "prevalence": over(p, p + n),
        "prevalence_threshold": nan if both != both or tpr == fpr else (both - float(fpr)) / float(tpr - fpr),
        "informedness": tpr + tnr - 1,
        "markedness": ppv + npv - 1,
        "accuracy": over(tp + tn, p + n),
        "balanced_accuracy": (tpr + tnr) / 2,
        "f1": over(2 * tp, 2 * tp + fp + fn),
        "f_beta": over((1 + squared) * tp, (1 + squared) * tp + squared * fn + fp),
        "fowlkes_mallows": root(ppv * tpr),
        "mcc": mcc,
        "threat_score": over(tp, tp + fn + fp),
    }  # fmt: skip
    return {name: float(value) for name, value in values.items()}


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(0, 60)] * 4), st.floats(0.1, 5))
def test_every_quantity_is_what_the_lecture_defines(counts, beta):
    values = {name: float(value) for name, value in quantities(*map(np.array, counts), beta=beta).items()}
    assert values == pytest.approx(by_definition(*counts, beta), rel=1e-12, abs=1e-12, nan_ok=True)


def test_large_counts_do_not_overflow():
    values = quantities(*map(np.array, (10**9, 10**9, 10**9, 3 * 10**9)))
    assert values["mcc"] == pytest.approx((3 - 1) / (2 * 2 * 4 * 4) ** 0.5, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40), st.floats(0.1, 5))
def test_agrees_with_scikit_learn(pairs, beta):
    truth, predicted = np.array(pairs).T
    tp, fn, fp, tn = class_counts(truth, predicted, 4, np.ones(len(truth)))
    np.testing.assert_array_equal(
        np.stack([[tn, fp], [fn, tp]]).transpose(2, 0, 1),
        sk.multilabel_confusion_matrix(truth, predicted, labels=range(4)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = quantities(tp, fn, fp, tn, beta)
    options = {"labels": range(4), "average": None, "zero_division": np.nan}
    for name, theirs in {
        "ppv": sk.precision_score(truth, predicted, **options),
        "tpr": sk.recall_score(truth, predicted, **options),
        "f1": sk.f1_score(truth, predicted, **options),
        "f_beta": sk.fbeta_score(truth, predicted, beta=beta, **options),
        "threat_score": sk.jaccard_score(truth, predicted, labels=range(4), average=None, zero_division=0),
    }.items():
        known = ~np.isnan(values[name])
        np.testing.assert_allclose(values[name][known], theirs[known], atol=1e-12)
        assert known.sum() == (~np.isnan(theirs)).sum() or name == "threat_score"
    for each in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a lone class
            mcc = sk.matthews_corrcoef(truth == each, predicted == each)
        ours = values["mcc"][each]
        assert ours == pytest.approx(mcc, abs=1e-12) or (np.isnan(ours) and mcc == 0)


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        ((0, 0, 3, 7), {"tpr", "fnr", "lr_plus", "lr_minus", "dor", "informedness", "balanced_accuracy",
        "mcc",
                        "fowlkes_mallows", "prevalence_threshold"}),  # absent from the truth
        ((0, 4, 0, 6), {"ppv", "fdr", "lr_plus", "dor", "markedness", "fowlkes_mallows", "mcc",
                        "prevalence_threshold"}),  # never predicted
        ((5, 0, 0, 0), {"fpr", "tnr", "npv", "for", "lr_plus", "lr_minus", "dor", "informedness",
        "markedness",
                        "balanced_accuracy", "mcc", "prevalence_threshold"}),  # all of one class
        ((5, 0, 0, 5), {"lr_plus", "dor"}),  # all right
        ((0, 0, 0, 0), set(HAND) - {"tp", "fn", "fp", "tn"}),
    ],
)  # fmt: skip
def test_undefined_is_nan_and_the_rest_is_not(counts, undefined):
    values = quantities(*map(np.array, counts))
    assert {name for name, value in values.items() if np.isnan(value)} == undefined


def test_table_has_every_class_and_its_interval(rng):
    truth = rng.integers(0, 3, 200)
    predicted = np.where(rng.uniform(size=200) < 0.7, truth, rng.integers(0, 3, 200))
    table = quantities_table(truth, predicted, ["a", "b", "c"], np.arange(200) // 4, beta=2.0)
    assert len(table) == 3 * len(HAND)
    row = table[(table["class"] == "b") & (table["quantity"] == "f_beta")].iloc[0]
    assert row["value"] == pytest.approx(sk.fbeta_score(truth == 1, predicted == 1, beta=2.0), abs=1e-12)
    assert row["low"] < row["value"] < row["high"]
