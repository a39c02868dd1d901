"""Search post-processing step by step on out-of-fold predictions, and keep the steps whose gain holds.

For each of five folds of groups, a step is fitted on the other four and applied. It is accepted if the score gains and
the paired 95 % interval of the gain is above zero. The next step builds on what is accepted. So no step is scored on
images that it was fitted on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import Fitter
from tropho.inference.ensemble import MemberTables, rows_of_images
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.tasks.base import Task

MIN_GAIN = 0.001  # of the score; a smaller gain is not worth a step, however sure it is
Params = dict[str, Any]  # content of postprocess.json


class Step(NamedTuple):
    """A step of post-processing; `fit` takes the present parameters and the images to use, and adds its own."""

    name: str
    fit: Callable[[Params, list[str]], Params]


class OofPredictions(Protocol):
    """Raw out-of-fold predictions with their ground truth."""

    @property
    def steps(self) -> list[Step]:
        """List the steps that have something to fit, in the order in which they are tried."""

    def predict(self, params: Params, image_ids: list[str]) -> pd.DataFrame:
        """Fuse and post-process the predictions of these images."""

    def gain(self, fitted: pd.DataFrame, default: pd.DataFrame, groups: pd.Series) -> dict[str, float]:
        """Compare the scores of two prediction tables of the images in `groups`, paired.

        Returns: value, low, high of the difference's 95 % interval, resampled by group.
        """


def search_postprocess(oof: OofPredictions, groups: pd.Series) -> Params:
    """Fit the steps on the images of `groups` (by image_id), in order, each upon those accepted before.

    Returns: the parameters of the accepted steps, and "gains": {step: result of `paired_gain`} of every step. {} with
    fewer than two folds of groups, or nothing to fit.
    """
    folds = [list(ids) for _, ids in groups.index.to_series().groupby(group_kfold(groups))]
    if len(folds) < 2 or not oof.steps:
        return {}
    images = list(groups.index)
    rest = [[image_id for image_id in images if image_id not in set(fold)] for fold in folds]
    params, by_fold = Params(), [Params() for _ in folds]
    default = oof.predict({}, images)
    gains = {}
    for step in oof.steps:
        fitted = [step.fit(present, ids) for present, ids in zip(by_fold, rest, strict=True)]
        table = default
        if fitted != by_fold:
            tables = [oof.predict(each, ids) for each, ids in zip(fitted, folds, strict=True)]
            table = pd.concat(tables, ignore_index=True)
        gains[step.name] = paired_gain(oof, table, default, groups)
        if gains[step.name]["accepted"]:
            params, by_fold, default = step.fit(params, images), fitted, table
    return {**params, "gains": gains}


def paired_gain(oof: OofPredictions, fitted: pd.DataFrame, default: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
    """Compare two prediction tables of the same images.

    Returns: "value", "low", "high" of the gain in score, and the number of "groups". "accepted" is true if the gain is
        at least MIN_GAIN, low is above zero, and there are at least FEW_GROUPS groups: the interval of fewer is too
        narrow.
    """
    gain, n_groups = oof.gain(fitted, default, groups), int(groups.nunique(dropna=False))
    accepted = gain["value"] >= MIN_GAIN and gain["low"] > 0 and n_groups >= FEW_GROUPS
    return {**gain, "groups": n_groups, "accepted": bool(accepted)}


def merge_params(params: Params, change: Params) -> Params:
    """Replace the values that `change` names; values by class are replaced class by class."""
    return params | {
        key: {**params.get(key, {}), **value} if isinstance(value, dict) else value for key, value in change.items()
    }


def group_kfold(groups: pd.Series, n_folds: int = 5, seed: int = 0) -> np.ndarray:
    """Assign whole groups (N,) to folds 0, 1, ... of about equal size, in an order drawn by `seed`; returns (N,) int64.

    At most `n_folds` are made; large groups and few groups give fewer.
    """
    sizes = groups.value_counts(dropna=False).sort_index()
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.zeros(len(sizes), np.int64)
    before[order] = np.cumsum(sizes.to_numpy()[order]) - sizes.to_numpy()[order]
    fold = pd.Series(before * n_folds // max(len(groups), 1), index=sizes.index)
    return np.unique(groups.map(fold).to_numpy(np.int64), return_inverse=True)[1]


def cross_fit_postprocess(
    task: Task, fit: Fitter, gt: GroundTruth, raw: MemberTables, groups: pd.Series, n_folds: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Post-process out-of-fold predictions, each fold of groups by what was fitted on the other folds.

    `fit` is that of `Evaluator.postprocess_fitter` for the raw predictions. Groups are by image_id; where all images
    are of one, nothing is fitted.

    Returns: a prediction table, its images in the order of `raw`.
    """
    fold_of = pd.Series(group_kfold(groups, n_folds, seed), index=groups.index)
    tables = []
    for fold in sorted(fold_of.unique()):
        rest = list(fold_of.index[fold_of != fold])
        params = fit(rest) if rest else None
        fused = task.fuse_members(rows_of_images(raw, fold_of.index[fold_of == fold]), params)
        tables.append(task.postprocess(fused, params, gt.ignore_classes))
    predictions = pd.concat(tables, ignore_index=True)
    ids = pd.concat([view["image_id"] for views in raw.values() for view in views]).unique()
    place = {image_id: idx for idx, image_id in enumerate(ids)}
    order = predictions["image_id"].map(place).to_numpy().argsort(kind="stable")
    return predictions.iloc[order].reset_index(drop=True)
