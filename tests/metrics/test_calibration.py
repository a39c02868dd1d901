"""Reliability, calibration error and temperature."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from tropho.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    calibration_error,
    fit_temperature,
    log_probabilities,
    reliability_bins,
    with_temperature,
)


def test_bins_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.5, 0.5]])
    truth = np.array([0, 1, 1, 1])
    table = reliability_bins(truth, probabilities, bins=4)
    assert table["count"].tolist() == [0, 1, 1, 2]  # 0.5 belongs to the bin below it
    np.testing.assert_allclose(table["confidence"], [np.nan, 0.5, 0.6, 0.85])
    np.testing.assert_allclose(table["accuracy"], [np.nan, 0.0, 1.0, 0.5])
    expected = (0.5 + 0.4 + 2 * 0.35) / 4
    assert calibration_error(truth, probabilities, bins=4) == pytest.approx(expected, abs=1e-12)


def test_error_is_the_weighted_gap_of_the_bins(rng):
    truth, probabilities = rng.integers(0, 4, 500), rng.dirichlet(np.ones(4), 500)
    table = reliability_bins(truth, probabilities).dropna()
    expected = (table["count"] * (table["confidence"] - table["accuracy"]).abs()).sum() / 500
    assert calibration_error(truth, probabilities) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_temperature_is_the_minimum_of_the_loss(rng, scale):
    logits = rng.normal(0, 2, (400, 3))
    truth = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])

    def loss(temperature: float) -> float:
        return -log_softmax(scale * logits / temperature, axis=1)[np.arange(400), truth].mean()

    found = fit_temperature(scale * logits, truth)
    assert found == pytest.approx(scale, rel=0.25)
    assert found == pytest.approx(minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x, rel=1e-3)
    assert loss(found) <= min(loss(found * 1.001), loss(found / 1.001))


def test_temperature_calibrates_overconfident_probabilities(rng):
    logits = rng.normal(0, 1.5, (3000, 3))
    truth = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])
    sure = softmax(3 * logits, axis=1)
    calm = with_temperature(sure, fit_temperature(log_probabilities(sure), truth))
    assert calibration_error(truth, sure) > 0.15
    assert calibration_error(truth, calm) < 0.03
    assert (calm.argmax(axis=1) == sure.argmax(axis=1)).all()


def test_all_right_and_all_wrong_end_at_the_bounds():
    logits = np.array([[3.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(logits, np.array([0, 1])) == MIN_TEMPERATURE
    assert fit_temperature(logits, np.array([1, 0])) == MAX_TEMPERATURE


def test_certain_probabilities_stay_finite():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert np.isfinite(with_temperature(certain, 2.0)).all()
    np.testing.assert_allclose(with_temperature(np.array([[0.2, 0.8]]), 1.0), [[0.2, 0.8]], atol=1e-12)
