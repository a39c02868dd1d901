"""Fit fusion and post-processing together on out-of-fold predictions, so that cross-fitting covers both."""

from typing import Any

import pandas as pd

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import Evaluator
from tropho.inference.fuse_members import MEMBER, fuse_tables, tables_by_member


def fit_members(
    evaluator: Evaluator, truth: GroundTruth, predictions: pd.DataFrame, groups: pd.Series
) -> dict[str, Any]:
    """Fit fusion, then post-processing, on out-of-fold predictions.

    Args:
        evaluator: fits both.
        truth: of the predicted images.
        predictions: raw member tables stacked (columns `member` and, if views are fused too, `view`), or one table.
        groups: group of each image, by image_id.

    Returns:
        What `Task.fuse_views`, `Task.fuse_members` and `Task.postprocess` use, JSON-safe; "gains" by step.
    """
    fusion: dict[str, Any] = {}
    fused = predictions
    if MEMBER in predictions:
        tables = tables_by_member(evaluator.task, predictions)
        fusion = evaluator.fit_fusion(truth, tables, groups)
        fused = fuse_tables(evaluator.task, tables, fusion)
    finish = evaluator.fit_postprocess(truth, fused, groups)
    gains = {**fusion.get("gains", {}), **finish.get("gains", {})}
    return {**fusion, **finish, **({"gains": gains} if gains else {})}
