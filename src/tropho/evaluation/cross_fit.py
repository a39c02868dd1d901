"""Post-process out-of-fold predictions by what was fitted on other groups, so that scores stay unbiased."""

import pandas as pd

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import Fitter
from tropho.evaluation.postprocess_search import group_kfold
from tropho.inference.fuse_members import postprocess_members
from tropho.tasks.base import Task


def cross_fit_postprocess(
    task: Task, fit: Fitter, gt: GroundTruth, raw: pd.DataFrame, groups: pd.Series, n_folds: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Post-process out-of-fold predictions, each fold of groups by what was fitted on the other folds.

    Raw predictions are stacked member tables or one prediction table, and `fit` is that of
    `Evaluator.postprocess_fitter` for them. Groups are by image_id; where all images are of one, nothing is fitted.

    Returns: a prediction table, its images in the order of `raw`.
    """
    fold_of = pd.Series(group_kfold(groups, n_folds, seed), index=groups.index)
    tables = []
    for fold in sorted(fold_of.unique()):
        rest = list(fold_of.index[fold_of != fold])
        rows = raw[raw["image_id"].isin(fold_of.index[fold_of == fold])].reset_index(drop=True)
        tables.append(postprocess_members(task, rows, fit(rest) if rest else None, gt.ignore_classes))
    if not tables:
        return postprocess_members(task, raw, ignore_classes=gt.ignore_classes)
    predictions = pd.concat(tables, ignore_index=True)
    place = {image_id: idx for idx, image_id in enumerate(raw["image_id"].unique())}
    order = predictions["image_id"].map(place).to_numpy().argsort(kind="stable")
    return predictions.iloc[order].reset_index(drop=True)
