"""Finished out-of-fold predictions that stay honest: no image is finished by what was learned from its own group."""

import numpy as np
import pandas as pd

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import Evaluator
from tropho.evaluation.fit_members import fit_members
from tropho.inference.fuse_members import postprocess_members


def group_kfold(groups: pd.Series, parts: int = 5, seed: int = 0) -> np.ndarray:
    """Part of each image, (N,) int from 0: whole groups in an order drawn by `seed`, parts of about equal size.

    There may be fewer parts than asked for: one a group at most, and a large group can fill several.
    """
    sizes = groups.value_counts(dropna=False).sort_index()
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.zeros(len(sizes), np.int64)
    before[order] = np.cumsum(sizes.to_numpy()[order]) - sizes.to_numpy()[order]
    part = pd.Series(before * parts // max(len(groups), 1), index=sizes.index)
    return np.unique(groups.map(part).to_numpy(np.int64), return_inverse=True)[1]


def cross_fit_postprocess(
    evaluator: Evaluator,
    truth: GroundTruth,
    predictions: pd.DataFrame,
    groups: pd.Series,
    parts: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """`postprocess_members` of out-of-fold predictions, each part of the groups by what was fitted on the others.

    Args:
        evaluator: fits; its task fuses and finishes.
        truth: of the predicted images.
        predictions: the task's raw prediction table, or that of several members (ensembles.py).
        groups: group of each image, by image_id, for all images of `truth`.
        parts: how many; where all images are of one group, nothing is fitted.
        seed: of the dealing.

    Returns:
        The finished table, its images in the order of `predictions`.
    """
    part = pd.Series(group_kfold(groups, parts, seed), index=groups.index)
    numbers = sorted(part.unique())
    tables = []
    for number in numbers:
        others = part.index[part != number]
        fitted = None
        if len(others):
            theirs = predictions[predictions["image_id"].isin(others)].reset_index(drop=True)
            fitted = fit_members(evaluator, truth.subset(others), theirs, groups[others])
        mine = predictions[predictions["image_id"].isin(part.index[part == number])]
        tables.append(postprocess_members(evaluator.task, mine.reset_index(drop=True), fitted, truth.ignore_classes))
    if not tables:
        return postprocess_members(evaluator.task, predictions, ignore_classes=truth.ignore_classes)
    finished = pd.concat(tables, ignore_index=True)
    place = {image_id: number for number, image_id in enumerate(predictions["image_id"].unique())}
    order = finished["image_id"].map(place).to_numpy().argsort(kind="stable")
    return finished.iloc[order].reset_index(drop=True)
