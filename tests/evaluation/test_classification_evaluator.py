"""Evaluation of classifications."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from member_predictions import CLASSES, labelled, says
from tropho.evaluation.classification_evaluator import mixture_weights
from tropho.evaluation.evaluator import build_evaluator
from tropho.tasks import build_task


def test_mixture_weights_by_hand():
    assert mixture_weights(np.zeros((0, 4))) == [0.25] * 4
    assert mixture_weights(np.array([[0.5, 0.5], [0.2, 0.2]])) == [0.5, 0.5]
    assert mixture_weights(np.array([[0.9, 0.1], [0.8, 0.1]])) == pytest.approx([1.0, 0.0], abs=1e-6)
    assert mixture_weights(np.array([[0.9, 0.1], [0.8, 0.1]]), steps=1) == pytest.approx(
        [(0.9 + 8 / 9) / 2, (0.1 + 1 / 9) / 2]
    )
    # Of three images one is certain for each and one for both: 2/3 + ... settle at one half each.
    assert mixture_weights(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx([0.5, 0.5])


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_mixture_weights_have_the_least_log_loss(seed, count):
    given_to_truth = np.random.default_rng(seed).uniform(0.05, 0.95, (40, count))

    def loss(free):
        shares = np.exp(np.append(free, 0.0))
        return -np.log(given_to_truth @ (shares / shares.sum())).mean()

    weights = mixture_weights(given_to_truth)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) >= 0
    found = -np.log(given_to_truth @ np.array(weights)).mean()
    assert found <= minimize(loss, np.zeros(count - 1)).fun + 1e-5


def test_mixture_weights_prefer_the_good_model():
    weights = mixture_weights(np.column_stack([np.full(50, 0.9), np.full(50, 0.1)]))
    np.testing.assert_allclose(weights, [1, 0], atol=1e-6)


def test_mixture_weights_without_images():
    assert mixture_weights(np.zeros((0, 2))) == [0.5, 0.5]


def test_member_weights_are_fitted_for_several_members_that_gain(cells):
    truth = labelled(*["cat", "dog"] * 12)
    ids = list(truth.images["image_id"])
    groups = pd.Series(ids, index=ids)
    task = cells(**{"train.ensemble": {"b": {}}, "evaluate.fit_postprocess": True})
    right, wrong = (
        says(task, *[rows[0], rows[1]] * 12) for rows in (([0.7, 0.3], [0.3, 0.7]), ([0.2, 0.8], [0.8, 0.2]))
    )

    def fit(task, *members):
        raw = {name: [table] for name, table in zip(("base", "b"), members, strict=False)}
        return build_evaluator(task).postprocess_fitter(truth, raw, groups)(ids)

    fitted = fit(task, right, wrong)
    assert fitted["weights"]["base"] == pytest.approx(1.0, abs=1e-6)
    gain = fitted["gains"]["member weights"]
    assert (gain["value"], gain["groups"], gain["accepted"]) == (1.0, 24, True)
    alike = fit(task, right, right)
    assert (alike["gains"]["member weights"]["accepted"], "weights" in alike) == (False, False)
    assert set(fit(cells(), right)) == set(fit(cells(**{"evaluate.fit_postprocess": True}), right)) == {"temperature"}
    assert set(fit(cells(**{"train.ensemble": {"b": {}}}), right, wrong)) == {"temperature"}


def test_comments_on_a_single_class(cells):
    evaluator = build_evaluator(cells())
    (note,) = evaluator.comments(labelled("dog", "dog"), {})
    assert note == "All these images are of one class, 'dog', so no score tells classes apart."
    assert evaluator.comments(labelled("dog", "cat"), {}) == []


@pytest.fixture
def task(settings):
    return build_task(settings("cells_demo"), CLASSES)


def table(task, probabilities):
    outputs = [{"probabilities": torch.tensor(row)} for row in probabilities]
    return task.to_table(outputs, [str(number) for number in range(len(outputs))], None)


def test_thresholds_by_class(task):
    truth = labelled(*["cat", "dog", "cat", "dog"])
    predictions = table(task, [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
    chosen = build_evaluator(task).thresholds(truth, predictions)
    assert 0.3 < chosen["cat"]["threshold"] <= 0.6 + 1e-6
    assert chosen["cat"]["f_beta"] == pytest.approx(1.0)


def test_metrics_match_predictions_by_image_id(settings):
    """Shuffled predictions give the same numbers, and members in different orders the same mean."""
    task = build_task(
        settings("cells_demo", **{"evaluate.fit_postprocess": True, "train.ensemble": {"b": {}}}), CLASSES
    )
    evaluator = build_evaluator(task)
    rng = np.random.default_rng(3)
    truth = labelled(*[CLASSES[number % 3] for number in range(30)])
    truth.images["group"] = [str(number // 2) for number in range(30)]
    values = rng.dirichlet([1, 1, 1], (2, 30)) + 0.8 * np.eye(3)[np.arange(30) % 3]
    first, second = (table(task, each / each.sum(axis=1, keepdims=True)) for each in values)
    shuffled = [each.sample(frac=1, random_state=number) for number, each in enumerate((first, second))]
    assert task.score(truth, shuffled[0]) == task.score(truth, first)
    assert evaluator.metrics(truth, shuffled[0]) == evaluator.metrics(truth, first)
    assert evaluator.thresholds(truth, shuffled[0]) == evaluator.thresholds(truth, first)
    chosen = evaluator.thresholds(truth, first)
    for name, expected in evaluator.tables(truth, first, chosen).items():
        pd.testing.assert_frame_equal(evaluator.tables(truth, shuffled[0], chosen)[name], expected)
    pd.testing.assert_frame_equal(evaluator.label_issues(truth, shuffled[0]), evaluator.label_issues(truth, first))
    groups = truth.images.set_index("image_id")["group"]
    members = [{"base": [one], "b": [two]} for one, two in ((first, second), shuffled)]
    fitted = [evaluator.postprocess_fitter(truth, raw, groups)(list(groups.index)) for raw in members]
    assert fitted[0] == fitted[1]
    means = [task.fuse_views([one, two]).set_index("image_id") for one, two in ((first, second), shuffled)]
    pd.testing.assert_frame_equal(means[1].loc[means[0].index], means[0])
