"""Define the protocol of an evaluator: all that is computed from predictions and shown, but not trained with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.inference.ensemble import MemberTables
from tropho.tasks.base import Task

Fitter = Callable[[list[str]], dict[str, Any]]  # image_ids to fit post-processing on -> its parameters


class Evaluator(Protocol):
    """Metrics, plots and fitted post-processing of a kind of task.

    `predictions` are post-processed prediction tables (see `Task`) of exactly the images of `gt`; `raw` ones are not
    post-processed. `thresholds` are a result of `thresholds`. `groups` names the group (patient, slide) of each image,
    indexed by image_id.
    """

    @property
    def task(self) -> Task:
        """The task that trains and predicts."""

    def postprocess_fitter(self, gt: GroundTruth, raw: MemberTables, groups: pd.Series) -> Fitter:
        """Prepare to fit fusion and post-processing on out-of-fold predictions.

        Args:
            gt: of the predicted images.
            raw: by member; one table a view where the fusion of views is fitted too.
            groups: of these images.

        Returns: a function of image_ids, those to fit on, that returns JSON-safe parameters, the content of
            postprocess.json: those of accepted steps only, and "gains" by step, see `search_postprocess`.
        """

    def metrics(self, gt: GroundTruth, predictions: pd.DataFrame) -> dict[str, float]:
        """Compute every metric by `metric` or `metric/class`; `Task.primary_metric` is among them."""

    def thresholds(self, gt: GroundTruth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Choose a decision threshold on out-of-fold predictions.

        Returns: by class {"threshold": 0..1, and its precision, recall and so on}, see metrics.threshold_sweep.
        """

    def label_issues(self, gt: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
        """Rank the labels that out-of-fold predictions contradict: tables.LABEL_ISSUES, most probable error first."""

    def tables(self, gt: GroundTruth, predictions: pd.DataFrame, thresholds: dict[str, Any]) -> dict[str, pd.DataFrame]:
        """Compute tables with 95 % bootstrap intervals that resample whole groups; undefined values are NaN.

        Returns: tables by name. One is "metrics": columns metric, value, low, high; a row is of `Task.primary_metric`.
        """

    def comments(self, gt: GroundTruth, thresholds: dict[str, Any]) -> list[str]:
        """List sentences that a reader of these results has to know."""

    def plots(
        self,
        gt: GroundTruth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        reader: ImageReader,
        folder: Path,
        raw: pd.DataFrame | None = None,
    ) -> None:
        """Draw every plot and gallery into `folder`; images of `gt` may lack labels."""

    def heat_maps(
        self, model: nn.Module, gt: GroundTruth, predictions: pd.DataFrame, cache: ImageCache, folder: Path
    ) -> list[str]:
        """Draw what the model looks at into `folder`; return sentences on why nothing is drawn."""


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
