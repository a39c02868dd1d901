"""Fit fusion and post-processing on out-of-fold predictions, and cross-fit them so that scores stay unbiased."""

from typing import Any

import numpy as np
import pandas as pd

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import Evaluator
from tropho.inference.fuse_members import MEMBER, fuse_tables, postprocess_members, tables_by_member


def group_kfold(groups: pd.Series, n_folds: int = 5, seed: int = 0) -> np.ndarray:
    """Assign whole groups to folds of about equal size, in an order drawn by `seed`.

    Args:
        groups: (N,) group of each image.
        n_folds: at most this many folds are made; large groups and few groups give fewer.
        seed: of the order.

    Returns: (N,) int64, from 0.
    """
    sizes = groups.value_counts(dropna=False).sort_index()
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.zeros(len(sizes), np.int64)
    before[order] = np.cumsum(sizes.to_numpy()[order]) - sizes.to_numpy()[order]
    fold = pd.Series(before * n_folds // max(len(groups), 1), index=sizes.index)
    return np.unique(groups.map(fold).to_numpy(np.int64), return_inverse=True)[1]


def fit_members(evaluator: Evaluator, gt: GroundTruth, raw: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
    """Fit fusion, then post-processing, on out-of-fold predictions.

    Args:
        evaluator: fits both.
        gt: of the predicted images.
        raw: stacked member tables (columns `member` and, where views are fused too, `view`), or one prediction table.
        groups: group of each image, indexed by image_id.

    Returns: JSON-safe results of `Evaluator.fit_fusion` and `Evaluator.fit_postprocess` together.
    """
    fusion: dict[str, Any] = {}
    if MEMBER in raw:
        tables = tables_by_member(evaluator.task, raw)
        fusion = evaluator.fit_fusion(gt, tables, groups)
        raw = fuse_tables(evaluator.task, tables, fusion)
    return {**fusion, **evaluator.fit_postprocess(gt, raw)}


def cross_fit_postprocess(
    evaluator: Evaluator, gt: GroundTruth, raw: pd.DataFrame, groups: pd.Series, n_folds: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Post-process out-of-fold predictions, each fold of groups by what was fitted on the other folds.

    Args:
        evaluator: fits; its task fuses and post-processes.
        gt: of the predicted images.
        raw: as for `fit_members`.
        groups: group of each image of `gt`, indexed by image_id.
        n_folds: as for `group_kfold`; where all images are of one group, nothing is fitted.
        seed: as for `group_kfold`.

    Returns: a prediction table, its images in the order of `raw`.
    """
    fold_of = pd.Series(group_kfold(groups, n_folds, seed), index=groups.index)
    tables = []
    for fold in sorted(fold_of.unique()):
        rest = fold_of.index[fold_of != fold]
        params = None
        if len(rest):
            train = raw[raw["image_id"].isin(rest)].reset_index(drop=True)
            params = fit_members(evaluator, gt.subset(rest), train, groups[rest])
        rows = raw[raw["image_id"].isin(fold_of.index[fold_of == fold])].reset_index(drop=True)
        tables.append(postprocess_members(evaluator.task, rows, params, gt.ignore_classes))
    if not tables:
        return postprocess_members(evaluator.task, raw, ignore_classes=gt.ignore_classes)
    predictions = pd.concat(tables, ignore_index=True)
    place = {image_id: idx for idx, image_id in enumerate(raw["image_id"].unique())}
    order = predictions["image_id"].map(place).to_numpy().argsort(kind="stable")
    return predictions.iloc[order].reset_index(drop=True)
