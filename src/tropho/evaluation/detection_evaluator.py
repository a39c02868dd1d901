"""Evaluate detections: the leaderboard's metric, COCO's metrics, thresholds, label issues, plots."""

from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.evaluation.box_issues import find_box_issues
from tropho.evaluation.fusion_search import FusionParams, OofPredictions, search_fusion
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.metrics.coco_map import coco_map
from tropho.metrics.curves import best_confidences, unreachable_recall
from tropho.metrics.leaderboard_map import leaderboard_intervals
from tropho.plots.detection_plots import detection_figures
from tropho.tables import DETECTIONS, empty
from tropho.tasks.detection_task import DetectionTask
from tropho.tasks.postprocess import drop_ignored_classes

HIT_IOU = 0.5
"""Least IoU of a true positive in curves, thresholds, galleries and label issues."""


class DetectionEvaluator:
    """Evaluator of a detection task or a negative classifier."""

    def __init__(self, task: DetectionTask) -> None:
        self.task = task
        self.negative = task.negative

    def fit_fusion(self, gt: GroundTruth, tables: dict[str, list[pd.DataFrame]], groups: pd.Series) -> dict[str, Any]:
        """Fit IoU thresholds and members' weights by class, in `evaluate.postprocess_trials` trials."""
        task, trials = self.task, self.task.settings.evaluate.postprocess_trials
        if not trials:
            return {}
        tables = {name: [task.drop_ignored(gt, view)[1] for view in views] for name, views in tables.items()}
        gt = task.drop_ignored(gt, empty(DETECTIONS))[0]
        ignored, predict = gt.ignore_classes, task.settings.predict
        if ignored is not None:
            tables = {name: [drop_ignored_classes(view, ignored) for view in views] for name, views in tables.items()}
        weights = {name: task.member_weights(name) for name in tables}
        labels = [*task.classes, self.negative] if self.negative else task.classes
        default = {
            label: FusionParams(predict.overlap_of(label), tuple(weights[name][label] for name in tables))
            for label in labels
        }
        ids = list(gt.images["image_id"])
        oof = OofPredictions(tables, ids, gt.boxes, groups.loc[ids], self.negative, predict.ensemble_method, default)
        return search_fusion(oof, trials)

    def fit_postprocess(self, gt: GroundTruth, raw: pd.DataFrame) -> dict[str, Any]:
        return {}

    def metrics(self, gt: GroundTruth, predictions: pd.DataFrame) -> dict[str, float]:
        leaderboard = self.task.leaderboard(gt, predictions)
        gt, predictions = self.task.drop_ignored(gt, predictions)
        return {
            self.task.primary_metric: float(leaderboard["score"]),
            **{f"ap/{name}": float(value) for name, value in leaderboard["ap"].items()},
            **coco_map(gt.boxes, self._boxes(predictions), list(gt.images["image_id"]), self.task.classes),
        }

    def thresholds(self, gt: GroundTruth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Choose each class's score threshold by `evaluate.min_recall` or `evaluate.beta`, at IoU HIT_IOU."""
        evaluate = self.task.settings.evaluate
        gt, predictions = self.task.drop_ignored(gt, predictions)
        boxes, classes = self._boxes(predictions), self.task.classes
        return best_confidences(gt.boxes, boxes, classes, HIT_IOU, evaluate.beta, evaluate.min_recall)

    def label_issues(self, gt: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
        gt, predictions = self.task.drop_ignored(gt, predictions)
        return find_box_issues(gt.images, gt.boxes, predictions, self.negative, HIT_IOU)

    def tables(self, gt: GroundTruth, predictions: pd.DataFrame, thresholds: dict[str, Any]) -> dict[str, pd.DataFrame]:
        groups = gt.images.set_index("image_id")["group"]
        table = leaderboard_intervals(self.task.ranking(gt, predictions), groups, self.task.primary_metric)
        return {"metrics": table.rename_axis("metric").reset_index()}

    def comments(self, gt: GroundTruth, thresholds: dict[str, Any]) -> list[str]:
        unreachable = unreachable_recall(thresholds, self.task.settings.evaluate.min_recall)
        if len(gt.boxes):
            return unreachable
        only = f"is that of '{self.negative}' alone" if self.negative else "is undefined"
        return [f"None of these {len(gt.images):,} images has an object, so the score {only}.", *unreachable]

    def plots(
        self,
        gt: GroundTruth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        reader: ImageReader,
        folder: Path,
        raw: pd.DataFrame | None = None,
    ) -> None:
        evaluate = self.task.settings.evaluate
        labelled = gt.with_labels() if len(gt.boxes) else gt
        labelled, predictions = self.task.drop_ignored(labelled, predictions)
        detection_figures(
            labelled.images,
            labelled.boxes,
            predictions[predictions["image_id"].isin(labelled.images["image_id"])],
            self.task.classes,
            self.negative,
            reader,
            folder,
            HIT_IOU,
            thresholds,
            evaluate.gallery_images,
            evaluate.beta,
        )

    def heat_maps(
        self, model: nn.Module, gt: GroundTruth, predictions: pd.DataFrame, cache: ImageCache, folder: Path
    ) -> list[str]:
        """Draw nothing: boxes already say where."""
        return []

    def _boxes(self, predictions: pd.DataFrame) -> pd.DataFrame:
        return predictions[predictions["label"] != self.negative] if self.negative else predictions
