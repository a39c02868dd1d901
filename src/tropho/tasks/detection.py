"""Boxes in an image, and whether there are any."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tropho.images.pack import Pack
from tropho.metrics.boxes import Ranking, Score
from tropho.metrics.coco import coco_map
from tropho.metrics.leaderboard import rank_images
from tropho.models import build_model
from tropho.models.fitting import fit_to_boxes
from tropho.predicting.views import View, unview_boxes, view_images
from tropho.settings import TaskSettings
from tropho.tables import BOX, DETECTIONS, conform, empty
from tropho.tasks.base import Batch, Sizes, Truth
from tropho.tasks.boxed_images import BoxedImages, Sample, packed_sizes

STRIDE = 32
"""Batches are padded to a multiple of this, so that every pyramid level up to P5 divides evenly."""


class DetectionTask:
    """See tasks.base.Task. The prediction table is tables.DETECTIONS.

    Where the audit names a negative class, each image also has one row of that class with the box 0, 0, 0, 0 and
    the probability that nothing is there as its score.
    """

    score_name = "leaderboard_map"

    def __init__(self, settings: TaskSettings, classes: list[str]) -> None:
        self.settings = settings
        self.classes = classes
        self.negative = settings.audit.negative

    def fitted(self, truth: Truth, sizes: Sizes) -> TaskSettings:
        """The settings with levels, ranges and anchors fitted to the boxes, where `model.anchors` says so."""
        settings = self.settings
        if settings.model.anchors == "fixed":
            return settings
        model = fit_to_boxes(settings.model, packed_sizes(truth.boxes, sizes))
        return settings.model_copy(update={"model": model})

    def strata(self, truth: Truth) -> list[str]:
        """The classes present in each image, joined."""
        present = truth.boxes.groupby("image_id")["label"].agg(lambda labels: "+".join(sorted(set(labels))))
        return [present.get(image_id, "") for image_id in truth.images["image_id"]]

    def dataset(self, pack: Pack, truth: Truth, train: bool) -> BoxedImages:
        """See base."""
        return BoxedImages(pack, truth, self.classes, self.settings, train)

    def sample(self, image: np.ndarray) -> Sample:
        """See base."""
        target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
        return torch.from_numpy(image).permute(2, 0, 1), target, 0

    def collate(self, samples: list[Sample]) -> Batch:
        """Images (B, 3, H, W), padded with black at the right and bottom to a multiple of STRIDE."""
        images, targets, index = zip(*samples, strict=True)
        height, width = (-(-max(image.shape[axis] for image in images) // STRIDE) * STRIDE for axis in (1, 2))
        padded = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
        for row, image in zip(padded, images, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = image
        return {"images": padded, "targets": list(targets), "index": torch.tensor(index)}

    def model(self) -> nn.Module:
        """See base."""
        settings = self.settings
        return build_model(settings.model, settings.kind, len(self.classes), settings.augment.size)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The detector's own named losses."""
        losses: dict[str, Tensor] = model(batch["images"], batch["targets"])
        return losses

    def predict(self, model: nn.Module, batch: Batch, view: View = "identity") -> list[dict[str, Tensor]]:
        """One dict an image: boxes (n, 4) xyxy, scores (n,), labels (n,) 0-based, presence ()."""
        height, width = batch["images"].shape[-2:]
        outputs = model(view_images(batch["images"], view, STRIDE))
        for output in outputs:
            output["boxes"] = unview_boxes(output["boxes"], view, height, width, STRIDE)
        return [{name: value.float().cpu() for name, value in output.items()} for output in outputs]

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], pack: Sizes) -> pd.DataFrame:
        """See base; boxes are clipped to the image and empty ones dropped."""
        if not image_ids:
            return empty(DETECTIONS)
        table = pd.concat(
            [self._rows(output, image_id, pack) for image_id, output in zip(image_ids, outputs, strict=True)],
            ignore_index=True,
        )
        return conform(table, DETECTIONS)

    def _rows(self, output: dict[str, Tensor], image_id: str, pack: Sizes) -> pd.DataFrame:
        """One image's detections, and its negative row last if the task has a negative class."""
        sx, sy = pack.scale(image_id)
        width, height = pack.original_size(image_id)
        boxes = (output["boxes"].double().numpy() / [sx, sy, sx, sy]).clip(0, [width, height, width, height])
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, scores = boxes[keep], output["scores"].double().numpy()[keep]
        labels = [self.classes[number] for number in output["labels"].long().tolist()]
        labels = [label for label, kept in zip(labels, keep, strict=True) if kept]
        if self.negative:
            boxes = np.vstack([boxes, np.zeros((1, 4))])
            scores = np.append(scores, 1.0 - float(output["presence"]))
            labels.append(self.negative)
        columns = dict(zip(BOX, boxes.T, strict=True))
        return pd.DataFrame({"image_id": image_id, "label": labels, "score": scores, **columns})

    def merge(self, tables: list[pd.DataFrame], weights: list[float] | None = None) -> pd.DataFrame:
        """Boxes of views and folds fused by predict.fusion; P(negative) is averaged."""
        if len(tables) == 1:
            return tables[0]
        from tropho.predicting.fusion import fuse

        chosen = self.settings.predict
        return fuse(tables, chosen.merge_iou, weights, chosen.fusion, self.negative)

    def fit_weights(self, truth: Truth, tables: list[pd.DataFrame]) -> list[float]:
        """The few weights tried that score highest by the leaderboard's metric."""
        from tropho.predicting.weights import search_weights

        def score(weights: list[float]) -> float:
            counting = [(table, weight) for table, weight in zip(tables, weights, strict=True) if weight > 0]
            merged = self.merge([table for table, _ in counting], [weight for _, weight in counting])
            return self.score(truth, self.finish(merged))

        return search_weights(len(tables), score)

    def fit_finish(self, truth: Truth, predictions: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
        """P(negative) calibrated and its power by class, as far as settings ask for them and their gain holds."""
        evaluate = self.settings.evaluate
        if not self.negative or not (evaluate.calibrate_negative or evaluate.power_trials):
            return {}
        from tropho.predicting.finish_search import Evidence, search_finish
        from tropho.predicting.finishing import suppress

        rows = predictions if truth.ignored is None else suppress(predictions, truth.ignored)
        image_ids = list(truth.images["image_id"])
        evidence = Evidence(image_ids, truth.boxes, rows, groups.loc[image_ids], self.negative, self.classes)
        return search_finish(evidence, evaluate.calibrate_negative, evaluate.power_trials)

    def finish(
        self, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignored: pd.Series | None = None
    ) -> pd.DataFrame:
        """Each box's score scaled by 1 - P(negative) of its image; see predicting.finishing."""
        from tropho.predicting.finishing import finish_detections

        return finish_detections(predictions, self.negative, fitted, ignored)

    def score(self, truth: Truth, predictions: pd.DataFrame) -> float:
        """The leaderboard's metric."""
        return float(self._leaderboard(truth, predictions)["score"])

    def measure(self, truth: Truth, predictions: pd.DataFrame) -> dict[str, float]:
        """The leaderboard's metric by class, and COCO's mAP50 and mAP50-95 by class."""
        leaderboard = self._leaderboard(truth, predictions)
        boxes = predictions[predictions["label"] != self.negative] if self.negative else predictions
        return {
            self.score_name: float(leaderboard["score"]),
            **{f"ap/{name}": float(value) for name, value in leaderboard["ap"].items()},
            **coco_map(truth.boxes, boxes, list(truth.images["image_id"]), self.classes),
        }

    def thresholds(self, truth: Truth, predictions: pd.DataFrame) -> dict[str, Any]:
        """The confidence of each class by evaluate.threshold, at the IoU of evaluate.iou."""
        from tropho.metrics.curves import best_confidences

        evaluate = self.settings.evaluate
        boxes = predictions[predictions["label"] != self.negative] if self.negative else predictions
        return best_confidences(
            truth.boxes, boxes, self.classes, evaluate.iou, evaluate.curve_beta, evaluate.sensitivity
        )

    def tables(self, truth: Truth, predictions: pd.DataFrame, thresholds: dict[str, Any]) -> dict[str, pd.DataFrame]:
        """See base."""
        from tropho.metrics.leaderboard import leaderboard_intervals

        groups = truth.images.set_index("image_id")["group"]
        table = leaderboard_intervals(self._ranking(truth, predictions), groups, self.score_name)
        return {"metrics": table.rename_axis("metric").reset_index()}

    def notes(
        self, truth: Truth, predictions: pd.DataFrame, thresholds: dict[str, Any], unfinished: pd.DataFrame
    ) -> list[str]:
        """See base."""
        from tropho.reporting.advice import threshold_advice

        return threshold_advice(thresholds, self.settings.evaluate.sensitivity)

    def figures(
        self,
        truth: Truth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        raw: Path,
        to: Path,
        unfinished: pd.DataFrame | None = None,
    ) -> None:
        """See reporting.detection."""
        from tropho.reporting.detection import detection_figures

        evaluate = self.settings.evaluate
        detection_figures(
            truth.images,
            truth.boxes,
            predictions,
            self.classes,
            self.negative,
            raw,
            to,
            evaluate.iou,
            thresholds,
            evaluate.gallery,
            evaluate.curve_beta,
        )

    def explain(self, model: nn.Module, truth: Truth, predictions: pd.DataFrame, pack: Pack, to: Path) -> list[str]:
        """Nothing: boxes already say where."""
        return []

    def submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        """Rows of tables.DETECTIONS, image by image in the order given, best first.

        An image that could not be predicted gets a negative row with confidence 0.5: a leaderboard wants every image.
        """
        predictions = predictions[predictions["image_id"].isin(image_ids)]
        predicted = set(predictions["image_id"])
        absent = [each for each in image_ids if each not in predicted]
        if self.negative and absent:
            rows = {"image_id": absent, "label": self.negative, "score": 0.5, **dict.fromkeys(BOX, 0.0)}
            predictions = pd.concat([predictions, conform(pd.DataFrame(rows), DETECTIONS)])
        order = {image_id: number for number, image_id in enumerate(image_ids)}
        table = predictions.assign(order=predictions["image_id"].map(order))
        return table.sort_values(["order", "score"], ascending=[True, False], kind="stable").drop(columns="order")

    def _leaderboard(self, truth: Truth, predictions: pd.DataFrame) -> Score:
        """The leaderboard's metric on these images."""
        classes = self._ranking(truth, predictions).classes
        ap = {name: float(ranked.average_precision()) for name, ranked in classes.items()}
        return Score(score=float(np.mean(list(ap.values()))) if ap else float("nan"), ap=ap)

    def _ranking(self, truth: Truth, predictions: pd.DataFrame) -> Ranking:
        return rank_images(list(truth.images["image_id"]), truth.boxes, predictions, self.negative)
