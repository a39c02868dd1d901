"""Classification metrics against scikit-learn, and where they are undefined."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tropho.metrics.classification_metrics import classification_intervals, classification_metrics, weighted_metrics

CLASSES = ["a", "b", "c"]


@st.composite
def cases(draw):
    size = draw(st.integers(1, 30))
    truth = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    seed, ties = draw(st.integers(0, 10_000)), draw(st.booleans())
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), size)
    if ties:  # quarters, many of them equal
        probabilities = np.round(probabilities * 4) / 4
        probabilities[:, 2] = 1 - probabilities[:, :2].sum(axis=1)
        probabilities = np.abs(probabilities) / np.abs(probabilities).sum(axis=1, keepdims=True)
    return np.array(truth), probabilities


def expected(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """scikit-learn's values; NaN where it warns, by definition."""
    predicted = probabilities.argmax(axis=1)
    labels = range(3)
    options = {"labels": labels, "zero_division": np.nan}
    result = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "log_loss": sk.log_loss(truth, probabilities, labels=labels),
    }
    by_class = {
        "precision": sk.precision_score(truth, predicted, average=None, **options),
        "recall": sk.recall_score(truth, predicted, average=None, **options),
        "f1": sk.f1_score(truth, predicted, average=None, **options),
    }
    kinds = [truth == each for each in labels]
    by_class["roc_auc"] = [
        sk.roc_auc_score(kind, probabilities[:, each]) if 0 < kind.sum() < len(kind) else np.nan
        for each, kind in enumerate(kinds)
    ]
    by_class["pr_auc"] = [
        sk.average_precision_score(kind, probabilities[:, each]) if kind.any() else np.nan
        for each, kind in enumerate(kinds)
    ]
    constant = len(set(truth)) < 2 or len(set(predicted)) < 2
    result["mcc"] = np.nan if constant else sk.matthews_corrcoef(truth, predicted)
    for name, values in by_class.items():
        result[name] = np.nanmean(values) if not np.isnan(values).all() else np.nan
        result |= {f"{name}/{label}": value for label, value in zip(CLASSES, values, strict=True)}
    return result | {f"support/{label}": kind.sum() for label, kind in zip(CLASSES, kinds, strict=True)}


@settings(max_examples=50, deadline=None)
@given(cases())
def test_agrees_with_scikit_learn(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = classification_metrics(*case, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = expected(*case)
    ece = ours.pop("ece")
    assert 0 <= ece <= 1
    assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


def test_undefined_is_nan_not_zero():
    truth = np.array([0, 0, 1])  # class c is absent from the truth, b is never predicted
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.9, 0.05, 0.05]])
    values = classification_metrics(truth, probabilities, CLASSES)
    undefined = {name for name, value in values.items() if np.isnan(value)}
    assert undefined == {"recall/c", "roc_auc/c", "pr_auc/c", "precision/b"}
    assert values["precision/c"] == 0.0
    assert values["recall"] == values["balanced_accuracy"] == 0.25


def test_one_image_and_no_image():
    one = classification_metrics(np.array([1]), np.array([[0.1, 0.7, 0.2]]), CLASSES)
    assert (one["accuracy"], one["balanced_accuracy"], one["pr_auc"]) == (1.0, 1.0, 1.0)
    assert np.isnan(one["roc_auc"])
    assert np.isnan(one["mcc"])
    none = classification_metrics(np.zeros(0, int), np.zeros((0, 3)), CLASSES)
    assert {name for name, value in none.items() if not np.isnan(value)} == {f"support/{each}" for each in CLASSES}


def test_certain_and_wrong_has_a_finite_loss():
    values = classification_metrics(np.array([0]), np.array([[0.0, 1.0]]), ["a", "b"])
    assert values["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps))


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        classification_metrics(np.array([0, 1]), np.zeros((2, 2)), CLASSES)


def test_names_are_the_classes_own():
    values = classification_metrics(np.array([0, 1]), np.eye(2), ["mAP@50 (%)", "naïve"])
    assert {"recall/mAP@50 (%)", "recall/naïve"} < set(values)


def test_weights_equal_repeated_images(rng):
    truth, probabilities = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40).round(1)
    weights = rng.integers(0, 4, (5, 40))
    together = weighted_metrics(truth, probabilities, CLASSES, weights.astype(float))
    for row, counts in enumerate(weights):
        repeated = np.repeat(probabilities, counts, axis=0)
        alone = classification_metrics(np.repeat(truth, counts), repeated, CLASSES)
        mine = {name: value[row] for name, value in together.items()}
        assert mine == pytest.approx(alone, abs=1e-12, nan_ok=True)


def test_intervals_hold_the_value_and_widen_with_groups(rng):
    truth = rng.integers(0, 3, 300)
    probabilities = rng.dirichlet(np.ones(3), 300)
    probabilities[np.arange(300), truth] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[:150] = np.roll(probabilities[:150], 1, axis=1)  # half of the groups are hard
    fine = classification_intervals(truth, probabilities, CLASSES, np.arange(300), draws=300)
    coarse = classification_intervals(truth, probabilities, CLASSES, np.arange(300) // 30, draws=300)
    assert (fine["value"] == coarse["value"]).all()
    for table in (fine, coarse):
        assert (table.loc["accuracy", "low"] < table.loc["accuracy", "value"] < table.loc["accuracy", "high"]).all()
    width = {name: table.loc["accuracy", "high"] - table.loc["accuracy", "low"] for name, table in
             (("fine", fine), ("coarse", coarse))}  # fmt: skip
    assert width["coarse"] > 1.5 * width["fine"]
