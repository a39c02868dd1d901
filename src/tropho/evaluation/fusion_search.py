"""Fit how views and members are fused, class by class: IoU thresholds and weights, on out-of-fold predictions.

Trials draw values from a coarse grid. For each of five folds of groups, the values with the highest average precision
on the other four are applied. They are accepted if the paired 95 % interval of the gain is above zero.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats
from tropho.boxes.wbf import Method, fuse
from tropho.evaluation.cross_fit import group_kfold
from tropho.log import track
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.metrics.leaderboard_map import Ranking, rank_images, score_gain
from tropho.tasks.postprocess import negative_probability, postprocess_detections

IOU_GRID = (0.3, 0.8, 0.05)
"""Lowest, highest and step."""
WEIGHT_GRID = (0.0, 1.0, 0.25)
"""Lowest, highest and step; only ratios of weights count."""


class FusionParams(NamedTuple):
    """How one class is fused: IoU threshold (meaningless for the negative class) and a weight for each member."""

    iou: float
    weights: tuple[float, ...]

    @property
    def has_weights(self) -> bool:
        """True if several members count."""
        return sum(weight > 0 for weight in self.weights) > 1


ByClass = Mapping[str, FusionParams]
Trials = list[tuple[Mapping[str, Any], dict[str, Floats]]]
"""For each trial the values by class, and the average precision by class: one for each row of `fold_weights`."""


@dataclass(frozen=True)
class OofPredictions:
    """Out-of-fold predictions of an ensemble's members, or of one model's views, with their ground truth.

    Attributes:
        tables: raw tables.DETECTIONS by member, one a test-time view, all of the same images.
        image_ids: all images.
        boxes: ground truth, tables.BOXES.
        groups: group of each image, indexed by image_id.
        negative: name of the negative class; None = there is none.
        method: of fusion.
        default: parameters as set, by class, the negative one included.
    """

    tables: dict[str, list[pd.DataFrame]]
    image_ids: list[str]
    boxes: pd.DataFrame
    groups: pd.Series
    negative: str | None
    method: Method
    default: ByClass

    @cached_property
    def fold(self) -> pd.Series:
        """Fold of each image, indexed by image_id; groups stay whole."""
        return pd.Series(group_kfold(self.groups), index=self.groups.index)

    @cached_property
    def _prob_object(self) -> pd.Series:
        """1 - P(negative) by image_id as set; the same in every trial, so that classes are independent."""
        if not self.negative:
            return pd.Series(1.0, index=self.image_ids)
        return 1 - negative_probability(self.fuse(self.default), self.negative)

    def fuse(self, params: ByClass, image_ids: pd.Index | None = None) -> pd.DataFrame:
        """Fuse each member's views, then the members; of these images, or all. The table is raw."""
        iou = {label: values.iou for label, values in params.items()}
        members = []
        for tables in self.tables.values():
            views = tables if image_ids is None else [table[table["image_id"].isin(image_ids)] for table in tables]
            members.append(fuse(views, iou, None, self.method, self.negative) if len(views) > 1 else views[0])
        if len(members) == 1:
            return members[0]
        return fuse(members, iou, list(self.weights(params).values()), self.method, self.negative)

    def is_tunable(self, label: str) -> bool:
        """Tell whether a class has weights of members, or an IoU threshold of views, to tune."""
        values = self.default[label]
        several = (len(views) > 1 for views, weight in zip(self.tables.values(), values.weights, strict=True) if weight)
        return values.has_weights or (label != self.negative and any(several))

    def weights(self, params: ByClass) -> dict[str, dict[str, float]]:
        """Index the weights by member and class."""
        return {
            name: {label: values.weights[idx] for label, values in params.items()}
            for idx, name in enumerate(self.tables)
        }

    def rank(self, predictions: pd.DataFrame) -> Ranking:
        """Rank post-processed predictions as the leaderboard does."""
        return rank_images(self.image_ids, self.boxes, predictions, self.negative)

    def average_precision(self, params: ByClass, weights: Floats) -> dict[str, Floats]:
        """Compute average precision by class, (R,) for image weights (R, N)."""
        fused = self.fuse(params)
        is_box = fused["label"] != self.negative
        factor = fused["image_id"].map(self._prob_object).astype(np.float64).where(is_box, 1.0)
        ranking = self.rank(fused.assign(score=fused["score"] * factor))
        return {name: ranked.average_precision(weights) for name, ranked in ranking.classes.items()}


def search_fusion(oof: OofPredictions, n_trials: int) -> dict[str, Any]:
    """Search fusion parameters, and accept them if the score gains on groups that they were not fitted on.

    Returns: {"gains": {"fusion": result of `paired_gain`}}, and where accepted "weights" by member and class and
        "wbf_iou_threshold" by class. {} with fewer than two folds of groups, or nothing to tune.
    """
    tunable = [label for label in oof.default if oof.is_tunable(label)]
    if len(oof.fold.unique()) < 2 or not tunable:
        return {}
    best, best_by_fold = _search(oof, tunable, n_trials)
    folds = [oof.fuse(params, oof.fold.index[oof.fold == fold]) for fold, params in enumerate(best_by_fold)]
    fitted = postprocess_detections(pd.concat(folds, ignore_index=True), oof.negative)
    default = postprocess_detections(oof.fuse(oof.default), oof.negative)
    gain = paired_gain(oof.rank(fitted), oof.rank(default), oof.groups)
    if not gain["accepted"]:
        return {"gains": {"fusion": gain}}
    iou = {label: values.iou for label, values in best.items() if label != oof.negative}
    return {"weights": oof.weights(best), "wbf_iou_threshold": iou, "gains": {"fusion": gain}}


def _search(oof: OofPredictions, tunable: list[str], n_trials: int) -> tuple[ByClass, list[ByClass]]:
    """Find the best parameters on all images, and on the images outside each fold."""
    weights = fold_weights(sorted(oof.image_ids), oof.fold)
    trials: Trials = [(oof.default, oof.average_precision(oof.default, weights))]

    def objective(trial: Any) -> float:
        params = {**oof.default, **{label: _suggest(trial, oof, label) for label in tunable}}
        ap = oof.average_precision(params, weights)
        trials.append((params, ap))
        return float(np.mean([values[0] for values in ap.values()]))

    _run_quasi_random_trials(objective, n_trials)
    best: list[ByClass] = [{**oof.default, **best_by_class(trials, row)} for row in range(len(weights))]
    return best[0], best[1:]


def _suggest(trial: Any, oof: OofPredictions, label: str) -> FusionParams:
    """Draw parameters of one class; members whose weight is 0 as set keep it."""
    default = oof.default[label]
    iou = default.iou
    if label != oof.negative:
        low, high, step = IOU_GRID
        iou = round(trial.suggest_float(f"{label}/iou", low, high, step=step), 4)
    if not default.has_weights:
        return FusionParams(iou, default.weights)
    low, high, step = WEIGHT_GRID
    weights = tuple(
        trial.suggest_float(f"{label}/{name}", low, high, step=step) if weight else 0.0
        for name, weight in zip(oof.tables, default.weights, strict=True)
    )
    return FusionParams(iou, weights if any(weights) else default.weights)


def _run_quasi_random_trials(objective: Callable[[Any], float], n_trials: int) -> None:
    """Run trials on a quasi-random sequence: no trial depends on scores, so one study serves every fold."""
    import warnings

    import optuna
    from optuna.samplers import QMCSampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls this sampler experimental
        sampler = QMCSampler(seed=0, warn_independent_sampling=False)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in track(range(n_trials), "fusion"):
        trial = study.ask()
        study.tell(trial, objective(trial))


def fold_weights(image_ids: list[str], fold: pd.Series) -> Floats:
    """Build image weights: row 0 counts all images, row 1 + f leaves fold f out.

    Args:
        image_ids: N ids.
        fold: fold of each image, indexed by image_id.

    Returns: (1 + n_folds, N) float64 of 0 and 1.
    """
    of_image = fold.loc[image_ids].to_numpy()
    numbers = np.arange(of_image.max() + 1)
    return np.vstack([np.ones(len(of_image)), of_image[None, :] != numbers[:, None]]).astype(np.float64)


def best_by_class(trials: Trials, row: int) -> dict[str, Any]:
    """Find each class's value with the highest average precision in a row of `fold_weights`, the first of equals.

    Classes without ground truth are left out.
    """
    best = {}
    for name in trials[0][0]:
        values = [ap[name][row] for _, ap in trials if name in ap]
        if np.isfinite(values).any():
            best[name] = trials[int(np.nanargmax(values))][0][name]
    return best


def paired_gain(fitted: Ranking, default: Ranking, groups: pd.Series) -> dict[str, Any]:
    """Compare two rankings of the same images.

    Returns: "value", "low", "high" of the gain in score, and the number of "groups". "accepted" is true if low is above
        zero and there are at least FEW_GROUPS groups, since the interval of fewer is too narrow.
    """
    gain, n_groups = score_gain(fitted, default, groups), int(groups.nunique(dropna=False))
    return {**gain, "groups": n_groups, "accepted": bool(gain["low"] > 0) and n_groups >= FEW_GROUPS}


def describe_gains(params: Mapping[str, Any]) -> list[str]:
    """Describe the gain of each fitted step, and whether it is used."""
    return [
        f"Fitted {step}: the out-of-fold score changes by {gain['value']:+.4f} (95 % interval {gain['low']:+.4f} to "
        f"{gain['high']:+.4f}, {gain['groups']} groups, at least {FEW_GROUPS} needed); "
        f"it is {'used' if gain['accepted'] else 'not used'}."
        for step, gain in params.get("gains", {}).items()
    ]
