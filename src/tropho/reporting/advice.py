"""Sentences on how to read a classifier's results, drawn from the results themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.metrics.calibration import calibration_error
from tropho.metrics.scan import Scan

RARE = 0.2  # a smaller share of positives (or of negatives) makes one of the two curves flatter
FEW = 30  # images; fewer make an area a matter of chance


def curve_advice(curves: Mapping[str, Scan]) -> list[str]:
    """Which of ROC and PR to trust, class by class, given how frequent and how many its images are."""
    shares = {
        name: float(points.positives / (points.positives + points.negatives))
        for name, points in curves.items()
        if points.positives > 0 and points.negatives > 0
    }
    sentences = []
    even = [f"{name} ({share:.0%})" for name, share in shares.items() if RARE <= share <= 1 - RARE]
    if even:
        sentences.append(f"ROC and PR can both be trusted for {_joined(even)}: neither side is rare.")
    for name, share in shares.items():
        if share < RARE:
            sentences.append(
                f"Trust PR for {name}, which is rare ({share:.1%}): {_alarms(curves[name])}. A guess has a PR area of "
                f"{share:.3f}."
            )
        elif share > 1 - RARE:
            sentences.append(
                f"Trust ROC for {name}, which is the rule ({share:.1%}): its PR area flatters, since a guess "
                f"has {share:.3f}."
            )
    few = [
        f"{name} ({int(min(points.positives, points.negatives))})"
        for name, points in curves.items()
        if name in shares and min(points.positives, points.negatives) < FEW
    ]
    if few:
        sentences.append(
            f"Read the areas with their intervals: one side has fewer than {FEW} images for {_joined(few)}."
        )
    absent = [name for name in curves if name not in shares]
    if absent:
        sentences.append(
            f"ROC needs images of a class and of others; there are none of one kind for {_joined(absent)}."
        )
    return sentences


def _alarms(points: Scan) -> str:
    """What false alarms are to either curve, at the best F1."""
    place = int(np.nanargmax(points.f_beta()))
    if points.fp[place] == 0:
        return "few false alarms would spoil its precision, and ROC would hardly show them"
    return (
        f"at its best F1 {points.fall_out[place]:.1%} of the others are false alarms, which is little to ROC, "
        f"but they are {1 - points.precision[place]:.0%} of all its alarms"
    )


def calibration_advice(true: np.ndarray, before: np.ndarray, after: np.ndarray) -> str:
    """What the temperature did to the calibration error of probabilities (N, C) for classes (N,)."""
    errors = [float(calibration_error(true, each)) for each in (before, after)]
    if np.allclose(before, after):
        return f"The probabilities are the network's own; their calibration error (ECE) is {errors[0]:.3f}."
    change = "from" if errors[1] < errors[0] else "not for the better, from"
    return (
        f"A temperature, fitted on out-of-fold predictions, moves the calibration error (ECE) {change} "
        f"{errors[0]:.3f} to {errors[1]:.3f}; the predicted classes stay what they are."
    )


STEPS = {
    "fusion": "Fusing views and members by fitted overlaps and weights of each class",
    "negative": "Calibrating P(negative)",
    "powers": "Taking powers of 1 - P(negative) by class",
}


def finish_advice(fitted: Mapping[str, Any]) -> list[str]:
    """What each step of post-processing gained on groups that it was not fitted on, and whether it is used."""
    return [
        f"{STEPS[step]} changes the out-of-fold score by {found['value']:+.4f} (95 % interval {found['low']:+.4f} to "
        f"{found['high']:+.4f}, on groups it was not fitted on){_verdict(found)}."
        for step, found in fitted.get("gains", {}).items()
    ]


def _verdict(found: Mapping[str, Any]) -> str:
    """Whether a step is used, and if not, whether for want of groups."""
    if found["groups"] >= FEW_GROUPS:
        return f", so it is {'used' if found['kept'] else 'left out'}"
    return (
        f", but only {found['groups']} groups judge it, and it takes {FEW_GROUPS} for such an interval to be trusted, "
        "so it is left out"
    )


def threshold_advice(thresholds: Mapping[str, Any], required: float | None) -> list[str]:
    """Which classes don't reach the required sensitivity at any threshold."""
    if required is None:
        return []
    short = [
        name
        for name, choice in thresholds.items()
        if isinstance(choice, Mapping) and (choice.get("recall") is None or choice["recall"] < required)
    ]
    return [f"No threshold reaches the required sensitivity of {required:g} for {_joined(short)}."] if short else []


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
