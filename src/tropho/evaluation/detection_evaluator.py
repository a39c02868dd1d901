"""Evaluate detections: the leaderboard's metric, COCO's, confidences, label issues, plots."""

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
from tropho.tasks.detection_task import HIT_IOU, DetectionTask
from tropho.tasks.postprocess import drop_ignored_classes


class DetectionEvaluator:
    """Metrics, plots and fitted fusion of a detection task, the negative classifier among them."""

    def __init__(self, task: DetectionTask) -> None:
        self.task = task
        self.negative = task.negative

    def fit_fusion(
        self, truth: GroundTruth, tables: dict[str, list[pd.DataFrame]], groups: pd.Series
    ) -> dict[str, Any]:
        """Fit overlaps and members' weights by class, if `evaluate.postprocess_trials` asks for it."""
        task, trials = self.task, self.task.settings.evaluate.postprocess_trials
        if not trials:
            return {}
        scored = {name: [task.scored(truth, view)[1] for view in views] for name, views in tables.items()}
        truth = task.scored(truth, empty(DETECTIONS))[0]
        ignored, predict = truth.ignored, task.settings.predict
        if ignored is not None:
            scored = {name: [drop_ignored_classes(view, ignored) for view in views] for name, views in scored.items()}
        weights = {name: task.box_fusion.weights(name) for name in scored}
        labels = [*task.classes, self.negative] if self.negative else task.classes
        as_set = {
            label: FusionParams(predict.overlap_of(label), tuple(weights[name][label] for name in scored))
            for label in labels
        }
        ids = list(truth.images["image_id"])
        members = OofPredictions(
            scored, ids, truth.boxes, groups.loc[ids], self.negative, predict.ensemble_method, as_set
        )
        return search_fusion(members, trials)

    def fit_postprocess(self, truth: GroundTruth, predictions: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
        """Fit nothing: fusion is all that is fitted."""
        return {}

    def metrics(self, truth: GroundTruth, predictions: pd.DataFrame) -> dict[str, float]:
        """Compute the leaderboard's metric by class, and COCO's mAP50 and mAP50-95 by class."""
        leaderboard = self.task.leaderboard(truth, predictions)
        truth, predictions = self.task.scored(truth, predictions)
        return {
            self.task.score_name: float(leaderboard["score"]),
            **{f"ap/{name}": float(value) for name, value in leaderboard["ap"].items()},
            **coco_map(truth.boxes, self._boxes(predictions), list(truth.images["image_id"]), self.task.classes),
        }

    def thresholds(self, truth: GroundTruth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Choose each class's confidence by `evaluate.min_recall` or `beta`, at an IoU of HIT_IOU."""
        evaluate = self.task.settings.evaluate
        truth, predictions = self.task.scored(truth, predictions)
        boxes, classes = self._boxes(predictions), self.task.classes
        return best_confidences(truth.boxes, boxes, classes, HIT_IOU, evaluate.beta, evaluate.min_recall)

    def label_issues(self, truth: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
        """Rank boxes that no model finds and finds where no box is; see suspects.boxes."""
        truth, predictions = self.task.scored(truth, predictions)
        return find_box_issues(truth.images, truth.boxes, predictions, self.negative, HIT_IOU)

    def tables(
        self, truth: GroundTruth, predictions: pd.DataFrame, thresholds: dict[str, Any]
    ) -> dict[str, pd.DataFrame]:
        """Compute "metrics": the leaderboard's metric and its parts by class."""
        groups = truth.images.set_index("image_id")["group"]
        table = leaderboard_intervals(self.task.ranking(truth, predictions), groups, self.task.score_name)
        return {"metrics": table.rename_axis("metric").reset_index()}

    def comments(self, truth: GroundTruth, thresholds: dict[str, Any]) -> list[str]:
        """Say where no image has an object, and which wanted sensitivity no threshold reaches."""
        comments = [] if len(truth.boxes) else [self._nothing_to_find(truth)]
        return [*comments, *unreachable_recall(thresholds, self.task.settings.evaluate.min_recall)]

    def _nothing_to_find(self, truth: GroundTruth) -> str:
        only = f"is that of '{self.negative}' alone" if self.negative else "is undefined"
        return f"None of these {len(truth.images):,} images has an object, so the score {only}."

    def plots(
        self,
        truth: GroundTruth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        reader: ImageReader,
        folder: Path,
        raw: pd.DataFrame | None = None,
    ) -> None:
        """Draw curves, confusion, counts and galleries; see reporting.detection."""
        evaluate = self.task.settings.evaluate
        known = truth.labelled if len(truth.boxes) else truth
        known, predictions = self.task.scored(known, predictions)
        detection_figures(
            known.images,
            known.boxes,
            predictions[predictions["image_id"].isin(known.images["image_id"])],
            self.task.classes,
            self.negative,
            reader,
            folder,
            HIT_IOU,
            thresholds,
            evaluate.gallery_images,
            evaluate.beta,
        )

    def explain(
        self, model: nn.Module, truth: GroundTruth, predictions: pd.DataFrame, pack: ImageCache, folder: Path
    ) -> list[str]:
        """Draw nothing: boxes already say where."""
        return []

    def _boxes(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Leave out the rows of the negative class."""
        return predictions[predictions["label"] != self.negative] if self.negative else predictions
