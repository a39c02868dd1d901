"""What `finishing` may learn from out-of-fold predictions, each kept only if its gain holds on other groups.

Two steps, one after the other: P(negative) calibrated by logistic regression (Platt, 1999) on the network's own value
and on the best box of each class; and the power of 1 - P(negative) for each class, by Optuna. A step is fitted on four
fifths of the groups and applied to the rest, five times. It is kept if the 95 % interval of the gain of these
predictions, by the leaderboard's metric, is above zero; the interval resamples whole groups, of which it takes at least
FEW_GROUPS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tropho.metrics.boxes import Claims, Ranking
from tropho.metrics.leaderboard import claim_images
from tropho.predicting.crossfit import deal_groups
from tropho.predicting.finishing import Calibration, negative_evidence, negative_probability, powers_of
from tropho.predicting.trials import Tried, best_by_class, judged, part_weights, run_even_trials

POWER = (0.0, 3.0)  # least and most; 1 is the product with 1 - P(negative)
FEWEST = 5  # images with and without objects that a calibration is fitted on

Fitted = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Out-of-fold predictions and their truth, as both steps look at them.

    Attributes:
        image_ids: every image.
        boxes: true boxes, columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS, not finished.
        groups: of each image, by image_id.
        negative: the class that says "nothing here".
        classes: of the boxes.
    """

    image_ids: list[str]
    boxes: pd.DataFrame
    predictions: pd.DataFrame
    groups: pd.Series
    negative: str
    classes: list[str]

    @cached_property
    def claims(self) -> Claims:
        """What the detections overlap, whatever their confidences."""
        return claim_images(self.image_ids, self.boxes, self.predictions, self.negative)

    @cached_property
    def part(self) -> pd.Series:
        """Part of each image, by image_id; groups stay whole."""
        return pd.Series(deal_groups(self.groups), index=self.groups.index)

    @cached_property
    def is_negative(self) -> np.ndarray:
        """(N,) the rows of the negative class."""
        return (self.predictions["label"] == self.negative).to_numpy()

    def rank(self, absent: pd.Series, powers: Mapping[str, float] | Sequence[Mapping[str, float]]) -> Ranking:
        """Judge the predictions with P(negative) by image_id; with a list of powers, each part has its own."""
        probability = self.predictions["image_id"].map(absent).to_numpy(np.float64)
        if isinstance(powers, Sequence):
            part = self.predictions["image_id"].map(self.part).to_numpy()
            power = np.choose(part, [powers_of(self.predictions["label"], each) for each in powers])
        else:
            power = powers_of(self.predictions["label"], powers)
        scores = self.predictions["score"].to_numpy(np.float64) * (1 - probability) ** power
        return self.claims.rank(np.where(self.is_negative, probability, scores))


def search_finish(evidence: Evidence, calibrate: bool, trials: int) -> Fitted:
    """Fit both steps and keep what holds.

    Args:
        evidence: out-of-fold predictions.
        calibrate: whether to try the calibration.
        trials: powers that are tried; 0 = none.

    Returns:
        "negative" and "powers" if they were kept, and under "gains" for each step that was tried: value, low, high,
        groups, kept. Steps that can't be judged, for want of groups or of either kind of image, are left out.
    """
    fitted: Fitted = {}
    gains: dict[str, Any] = {}
    if len(evidence.part.unique()) < 2:
        return fitted
    absent = negative_probability(evidence.predictions, evidence.negative)
    if calibrate and (calibration := fit_calibration(evidence, evidence.image_ids)):
        crossed = _cross_calibrated(evidence, absent)
        gains["negative"] = judged(evidence.rank(crossed, {}), evidence.rank(absent, {}), evidence.groups)
        if gains["negative"]["kept"]:
            fitted["negative"] = calibration
            absent = crossed  # what the next step is judged on must not have seen its own images either
    if trials:
        everything, by_part = search_powers(evidence, absent, trials)
        gains["powers"] = judged(evidence.rank(absent, by_part), evidence.rank(absent, {}), evidence.groups)
        if gains["powers"]["kept"]:
            fitted["powers"] = everything
    return {**fitted, "gains": gains} if gains else fitted


def fit_calibration(evidence: Evidence, image_ids: list[str]) -> Calibration | None:
    """Weights fitted on these images; None with too few of a kind."""
    from sklearn.linear_model import LogisticRegression

    table = negative_evidence(evidence.predictions, evidence.negative, evidence.classes).loc[image_ids]
    empty = ~table.index.isin(evidence.boxes["image_id"])
    if min(empty.sum(), (~empty).sum()) < FEWEST:
        return None
    model = LogisticRegression(max_iter=1000).fit(table.to_numpy(), empty)
    weights = dict(zip(table.columns, model.coef_[0].tolist(), strict=True))
    return {"intercept": float(model.intercept_[0]), **weights}


def search_powers(
    evidence: Evidence, absent: pd.Series, trials: int
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The best power of each class on all images, and on those outside each part.

    One study serves all of them: the classes' average precisions don't depend on each other's powers, and every trial
    is scored with each part left out.
    """
    weights = part_weights(evidence.claims.image_ids, evidence.part)
    tried: Tried = []

    def objective(trial: Any) -> float:
        powers = {name: round(trial.suggest_float(name, *POWER), 4) for name in evidence.classes}
        ranking = evidence.rank(absent, powers)
        tried.append((powers, {name: each.average_precision(weights) for name, each in ranking.classes.items()}))
        return float(ranking.score())

    run_even_trials(objective, trials, "powers", first=dict.fromkeys(evidence.classes, 1.0))
    best = [best_by_class(tried, row) for row in range(len(weights))]
    return best[0], best[1:]


def _cross_calibrated(evidence: Evidence, absent: pd.Series) -> pd.Series:
    """P(negative) of each image by the calibration fitted on the other parts."""
    crossed = absent.copy()
    for number in sorted(evidence.part.unique()):
        others = list(evidence.part.index[evidence.part != number])
        mine = evidence.part.index[evidence.part == number]
        if calibration := fit_calibration(evidence, others):
            rows = evidence.predictions[evidence.predictions["image_id"].isin(mine)]
            crossed.loc[mine] = negative_probability(rows, evidence.negative, calibration).loc[mine]
    return crossed
