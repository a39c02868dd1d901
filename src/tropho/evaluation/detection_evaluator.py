"""Evaluate detections: the leaderboard's metric, COCO's metrics, thresholds, label issues, plots."""

from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.evaluation.box_issues import find_box_issues
from tropho.evaluation.box_steps import BoxPredictions
from tropho.evaluation.evaluator import Fitter
from tropho.evaluation.postprocess_search import search_postprocess
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.inference.ensemble import MemberTables
from tropho.metrics.coco_map import coco_map
from tropho.metrics.curves import detection_curves, pick_threshold, unreachable_recall
from tropho.metrics.leaderboard_map import leaderboard_intervals
from tropho.plots.detection_plots import detection_figures
from tropho.tasks.detection_task import DetectionTask

HIT_IOU = 0.5  # least IoU of a true positive in curves, thresholds, galleries and label issues


class DetectionEvaluator:
    """Evaluator of a detection task or a negative classifier."""

    def __init__(self, task: DetectionTask) -> None:
        self.task = task
        self.negative = task.negative

    def postprocess_fitter(self, gt: GroundTruth, raw: MemberTables, groups: pd.Series) -> Fitter:
        """Search the steps of `BoxPredictions` where `evaluate.fit_postprocess` is true."""
        if not self.task.settings.evaluate.fit_postprocess:
            return lambda image_ids: {}
        oof = BoxPredictions(self.task, gt, raw)
        return lambda image_ids: search_postprocess(oof, groups.loc[image_ids])

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
        curves = detection_curves(gt.boxes, self._boxes(predictions), self.task.classes, HIT_IOU)
        return {name: pick_threshold(sweep, evaluate.beta, evaluate.min_recall) for name, sweep in curves.items()}

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
