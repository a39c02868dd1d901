"""Sentences on how to read results follow the data."""

import numpy as np

from tropho.metrics.curves import classification_curves
from tropho.reporting.advice import calibration_advice, curve_advice, finish_advice, threshold_advice


def advice_for(positives: int, negatives: int) -> list[str]:
    truth = np.array([0] * positives + [1] * negatives)
    scores = np.linspace(0.9, 0.1, len(truth))
    return curve_advice(classification_curves(truth, np.stack([scores, 1 - scores], axis=1), ["ill", "well"]))


def test_balanced_classes_may_trust_both():
    assert advice_for(50, 50) == ["ROC and PR can both be trusted for ill (50%) and well (50%): neither side is rare."]


def test_a_rare_class_trusts_pr_and_its_opposite_roc():
    said = advice_for(50, 950)
    assert said[0].startswith("Trust PR for ill, which is rare (5.0%)")
    assert "A guess has a PR area of 0.050." in said[0]
    assert said[1].startswith("Trust ROC for well, which is the rule (95.0%)")


def test_the_numbers_of_a_rare_class_are_those_at_its_best_f1():
    truth = np.array([0, 1, 0, 0] + [1] * 36)  # best F1 at the fourth score: 3 hits of 4, 1 of 37 others
    said = curve_advice(classification_curves(truth, np.linspace(1, 0, 40)[:, None], ["ill"]))[0]
    assert "at its best F1 2.7% of the others are false alarms" in said
    assert "they are 25% of all its alarms" in said


def test_few_images_and_absent_classes_are_said():
    said = advice_for(10, 12)
    assert said[-1].startswith("Read the areas with their intervals")
    assert "ill (10)" in said[-1]
    assert advice_for(5, 0) == [
        "ROC needs images of a class and of others; there are none of one kind for ill and well."
    ]


def test_calibration_says_which_way_it_went():
    truth, sure = np.array([0, 0, 0, 1]), np.tile([0.99, 0.01], (4, 1))
    calm = np.tile([0.75, 0.25], (4, 1))
    assert "moves the calibration error (ECE) from 0.240 to 0.000" in calibration_advice(truth, sure, calm)
    assert "not for the better, from 0.000 to 0.240" in calibration_advice(truth, calm, sure)
    assert "the network's own" in calibration_advice(truth, sure, sure)


def test_a_sensitivity_out_of_reach_is_named():
    choices = {"a": {"recall": 0.96}, "b": {"recall": 0.9}, "c": {"recall": None}}
    assert threshold_advice(choices, None) == []
    assert threshold_advice(choices, 0.95) == ["No threshold reaches the required sensitivity of 0.95 for b and c."]
    assert threshold_advice(choices, 0.9) == ["No threshold reaches the required sensitivity of 0.9 for c."]


def test_each_step_of_post_processing_says_what_it_gained():
    kept = {"value": 0.0123, "low": 0.004, "high": 0.02, "groups": 20, "kept": True}
    said = finish_advice({"gains": {"fusion": kept, "powers": {**kept, "low": -0.001, "kept": False}}})
    assert said[0].startswith(
        "Fusing views and members by fitted overlaps and weights of each class changes the out-of-fold"
    )
    assert "+0.0123 (95 % interval +0.0040 to +0.0200" in said[0]
    assert [sentence.rsplit(" it is ", 1)[1] for sentence in said] == ["used.", "left out."]
    assert finish_advice({}) == []


def test_a_step_that_too_few_groups_judge_says_so():
    found = {"value": 0.05, "low": 0.03, "high": 0.07, "groups": 15, "kept": False}
    (said,) = finish_advice({"gains": {"negative": found}})
    assert said.startswith("Calibrating P(negative) changes the out-of-fold score by +0.0500")
    assert "only 15 groups judge it, and it takes 20 " in said
    assert said.endswith("so it is left out.")
