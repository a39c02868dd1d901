"""The protocol of an evaluator: everything that is computed from predictions and shown, but not trained with."""

from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.tasks.base import Task


class Evaluator(Protocol):
    """Metrics, plots and fitted post-processing of a kind of task.

    `predictions` are post-processed (`Task.postprocess`) unless they are called raw. `groups` names the group (patient,
    slide) of each image, by image_id: images of a group are no independent evidence.
    """

    @property
    def task(self) -> Task:
        """What trains and predicts."""

    def fit_fusion(
        self, truth: GroundTruth, tables: dict[str, list[pd.DataFrame]], groups: pd.Series
    ) -> dict[str, Any]:
        """Fit how `Task.fuse_views` and `Task.fuse_members` combine out-of-fold predictions.

        Args:
            truth: of the predicted images.
            tables: raw prediction tables by member, one a test-time view.
            groups: group of each image of `truth`, by image_id.

        Returns:
            What fusion uses, JSON-safe; {} where there is nothing to fit.
        """

    def fit_postprocess(self, truth: GroundTruth, predictions: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
        """Fit `Task.postprocess` on raw out-of-fold predictions.

        Returns:
            What `Task.postprocess` uses, JSON-safe; {} where there is nothing to fit.
        """

    def metrics(self, truth: GroundTruth, predictions: pd.DataFrame) -> dict[str, float]:
        """Compute every metric, flat: `metric`, and `metric/class` by class; `Task.primary_metric` is among them."""

    def thresholds(self, truth: GroundTruth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Choose a decision threshold for each class on these out-of-fold predictions."""

    def label_issues(self, truth: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
        """Rank the labels that out-of-fold predictions contradict: tables.SUSPECTS."""

    def tables(
        self, truth: GroundTruth, predictions: pd.DataFrame, thresholds: dict[str, Any]
    ) -> dict[str, pd.DataFrame]:
        """Compute tables with 95 % bootstrap intervals that resample whole groups; undefined values are NaN.

        Returns:
            Tables by name. One is "metrics": columns metric, value, low, high, `Task.primary_metric` among the metrics.
        """

    def comments(self, truth: GroundTruth, thresholds: dict[str, Any]) -> list[str]:
        """Say in sentences what a reader of these results has to know."""

    def plots(
        self,
        truth: GroundTruth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        reader: ImageReader,
        folder: Path,
        raw: pd.DataFrame | None = None,
    ) -> None:
        """Write every plot and gallery into `folder`, those of `raw` predictions beside where the two differ."""

    def explain(
        self, model: nn.Module, truth: GroundTruth, predictions: pd.DataFrame, pack: ImageCache, folder: Path
    ) -> list[str]:
        """Write pictures of what the model looks at into `folder`; return sentences on why there are none."""


def build_evaluator(task: Task) -> Evaluator:
    """Build the evaluator of a task's kind."""
    from tropho.evaluation.classification_evaluator import ClassificationEvaluator
    from tropho.evaluation.detection_evaluator import DetectionEvaluator
    from tropho.tasks.classification_task import ClassificationTask
    from tropho.tasks.detection_task import DetectionTask

    if isinstance(task, DetectionTask):
        return DetectionEvaluator(task)
    assert isinstance(task, ClassificationTask)
    return ClassificationEvaluator(task)
