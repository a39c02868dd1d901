"""The smallest and the most lopsided inputs: one image, one class, scores that are all equal."""

import numpy as np
import pytest
from sklearn import metrics as sk

from tropho.metrics.calibration import calibration_error, fit_temperature, reliability_bins
from tropho.metrics.curves import best_threshold, classification_curves, sweep_thresholds


@pytest.mark.parametrize("positives", [1, 3, 9])
def test_scores_that_are_all_equal_decide_nothing(positives):
    truth, scores = np.arange(10) < positives, np.full(10, 0.4)
    points = sweep_thresholds(truth, scores)
    assert float(points.roc_auc()) == pytest.approx(sk.roc_auc_score(truth, scores), abs=1e-12) == 0.5
    assert float(points.average_precision()) == pytest.approx(sk.average_precision_score(truth, scores), abs=1e-12)
    choice = best_threshold(truth, scores, beta=2.0)
    assert (choice["threshold"], choice["recall"]) == (0.4, 1.0)
    assert choice["f_beta"] == pytest.approx(sk.fbeta_score(truth, scores >= 0.4, beta=2.0), abs=1e-12)


@pytest.mark.parametrize("positive", [True, False])
def test_one_image(positive):
    points = sweep_thresholds([positive], [0.7])
    assert np.isnan(points.roc_auc())
    assert float(points.average_precision()) == 1.0 if positive else np.isnan(points.average_precision())
    choice = best_threshold([positive], [0.7])
    assert choice["threshold"] == (0.7 if positive else None)
    truth, probabilities = np.array([int(not positive)]), np.array([[0.7, 0.3]])
    assert float(calibration_error(truth, probabilities)) == pytest.approx(0.3 if positive else 0.7, abs=1e-12)
    assert reliability_bins(truth, probabilities)["count"].sum() == 1
    assert fit_temperature(np.log(probabilities), truth) == (0.25 if positive else 10.0)


def test_a_truth_of_one_class_alone():
    truth, probabilities = np.zeros(4, int), np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.6, 0.4]])
    curves = classification_curves(truth, probabilities, ["a", "b"])
    assert float(curves["a"].average_precision()) == 1.0
    assert np.isnan([curves["a"].roc_auc(), curves["b"].roc_auc(), curves["b"].average_precision()]).all()
    assert best_threshold(truth == 1, probabilities[:, 1])["threshold"] is None


def test_nothing_at_all():
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, int)) == 1.0
    assert np.isnan(calibration_error(np.zeros(0, int), np.zeros((0, 2))))
    assert best_threshold([], [])["threshold"] is None
