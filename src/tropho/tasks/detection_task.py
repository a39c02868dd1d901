"""Detection: boxes in an image, and the probability that there are none, which a member of an ensemble may classify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tropho.boxes.box_fusion import fuse, merge_overlapping
from tropho.config.model_config import HF_DETR, NEGATIVE_CLASSIFIER, STRIDE
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.errors import DataError
from tropho.images.cache import ImageCache
from tropho.metrics.leaderboard_map import Ranking, Score, rank_images
from tropho.metrics.matching import drop_ignored
from tropho.tables import BOX, DETECTIONS, conform, empty, join_names
from tropho.tasks.base import Batch, Task
from tropho.tasks.negative_rule import apply_negative
from tropho.tasks.postprocess import drop_ignored_classes, shrink_sizes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tropho.boxes.tta import TtaView
    from tropho.tasks.datasets import BoxedSample, DetectionDataset

TARGETS_ON_CPU = ("fcos", "torchvision_fcos", NEGATIVE_CLASSIFIER)
"""Models that assign their targets on the CPU, since choosing among a GPU's values means to wait for them."""


class DetectionTask(Task):
    """Object detection, with a negative class where the audit names one."""

    primary_metric = "leaderboard_map"

    def __init__(self, settings: TaskConfig, classes: list[str]) -> None:
        self.settings = settings
        self.classes = classes
        self.negative = settings.audit.negative

    def fit_config(self, gt: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        """Record a checkpoint, or fit levels, ranges and anchors to the boxes where `model.fit_levels` is true."""
        from tropho.models.anchors import fit_to_boxes
        from tropho.models.hf_checkpoint import resolve_checkpoint
        from tropho.tasks.datasets import cached_box_sizes

        settings = self.settings
        if settings.model.name == HF_DETR:
            return settings.model_copy(update={"model": resolve_checkpoint(settings.model, self.classes)})
        if not settings.model.fit_levels:
            return settings
        model = fit_to_boxes(settings.model, cached_box_sizes(gt.boxes, sizes))
        return settings.model_copy(update={"model": model})

    def strata(self, gt: GroundTruth) -> list[str]:
        present = gt.boxes.groupby("image_id")["label"].agg(join_names)
        return [present.get(image_id, "") for image_id in gt.images["image_id"]]

    def build_dataset(self, cache: ImageCache, gt: GroundTruth, train: bool) -> DetectionDataset:
        from tropho.tasks.datasets import DetectionDataset

        return DetectionDataset(cache, gt, self.classes, self.settings, train)

    def sample(self, image: np.ndarray) -> BoxedSample:
        import torch

        target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
        return torch.from_numpy(image).permute(2, 0, 1), target, 0

    def collate(self, samples: list[BoxedSample]) -> Batch:
        from tropho.tasks.datasets import pad_batch

        return pad_batch(samples, STRIDE)

    def compute_loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        images, targets = batch["images"], batch["targets"]
        if self.settings.model.name not in TARGETS_ON_CPU:
            device = images.device
            targets = [{name: each.to(device, non_blocking=True) for name, each in row.items()} for row in targets]
        losses: dict[str, Tensor] = model(images, targets)
        return losses

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles that images are predicted by, pixels; None = whole images."""
        return self.settings.predict.tile_size

    def predict(self, model: nn.Module, batch: Batch, view: TtaView | None = None) -> list[dict[str, Tensor]]:
        from tropho.boxes.tiles import group_by_size, on_cpu, predict_tiled
        from tropho.boxes.tta import predict_view

        if view is None:
            return on_cpu(model(batch["images"]))
        if self.tile_size is None:
            return predict_view(view, lambda images: on_cpu(model(images)), batch["images"], STRIDE)
        predict = self.settings.predict
        tiling = self.tile_size, predict.tile_overlap, predict.batch_size, self.settings.model.max_detections

        def detect(images: Tensor) -> list[dict[str, Tensor]]:
            return predict_view(view, lambda turned: predict_tiled(model, turned, *tiling), images, STRIDE)

        return group_by_size(detect, batch["images"], batch["sizes"])

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], sizes: ImageSizes) -> pd.DataFrame:
        """Convert outputs to tables.DETECTIONS; clip boxes to the image, drop empty ones."""
        if not image_ids:
            return empty(DETECTIONS)
        rows = []
        for image_id, output in zip(image_ids, outputs, strict=True):
            sx, sy = sizes.scale(image_id)
            limits = np.tile(sizes.original_size(image_id), 2)  # width, height, width, height
            boxes = (np.asarray(output["boxes"], np.float64) / [sx, sy, sx, sy]).clip(0, limits)  # (n, 4)
            keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
            boxes, scores = boxes[keep], np.asarray(output["scores"], np.float64)[keep]
            labels = [self.classes[idx] for idx in np.asarray(output["labels"], np.int64)[keep]]
            if self.negative:
                boxes = np.vstack([boxes, np.zeros((1, 4))])
                scores = np.append(scores, 1.0 - float(np.asarray(output["presence"])))
                labels.append(self.negative)
            columns = dict(zip(BOX, boxes.T, strict=True))
            rows.append(pd.DataFrame({"image_id": image_id, "label": labels, "score": scores, **columns}))
        return conform(pd.concat(rows, ignore_index=True), DETECTIONS)

    def fuse_views(self, tables: list[pd.DataFrame], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Fuse boxes by `predict.ensemble_method`, and average P(negative)."""
        return self._fuse(tables, params or {}, None)

    def fuse_members(self, tables: dict[str, list[pd.DataFrame]], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Fuse boxes by `predict.ensemble_method`, and average P(negative), with the members' weights by class."""
        by_class = (params or {}).get("weights", {})
        weights = [
            self.member_weights(name) | {label: weight[name] for label, weight in by_class.items()} for name in tables
        ]
        return self._fuse([self.fuse_views(views, params) for views in tables.values()], params or {}, weights)

    def _fuse(
        self, tables: list[pd.DataFrame], params: dict[str, Any], weights: list[dict[str, float]] | None
    ) -> pd.DataFrame:
        if len(tables) == 1:
            return tables[0]
        predict = self.settings.predict
        iou = {label: predict.overlap_of(label) for label in self.classes} | params.get("wbf_iou_threshold", {})
        return fuse(tables, iou, weights, predict.ensemble_method, self.negative, params.get("conf_type", "avg"))

    def member_weights(self, member: str) -> dict[str, float]:
        """Look up a member's weights by class, as set; without boxes it counts in the negative class alone."""
        predict = self.settings.predict
        weight = predict.weight_of(member)
        weights = dict.fromkeys(self.classes, 0.0 if member in self.settings.boxless else weight)
        if self.negative:
            weights[self.negative] = weight if predict.says_negative(member) else 0.0
        return weights

    def postprocess(
        self, raw: pd.DataFrame, params: dict[str, Any] | None = None, ignore_classes: pd.Series | None = None
    ) -> pd.DataFrame:
        """Drop classes that annotators left out, merge duplicates, adjust sizes, and apply P(negative) to the scores.

        `params` may hold "duplicate_iou" and "size_shrinkage" by class, and "negative_threshold".
        """
        params = params or {}
        if ignore_classes is not None and ignore_classes.notna().any():
            raw = drop_ignored_classes(raw, ignore_classes)
        if "duplicate_iou" in params:
            raw = merge_overlapping(raw, params["duplicate_iou"], self.negative)
        if "size_shrinkage" in params:
            raw = shrink_sizes(raw, params["size_shrinkage"])
        return apply_negative(raw, self.negative, params.get("negative_threshold")) if self.negative else raw

    def score(self, gt: GroundTruth, predictions: pd.DataFrame) -> float:
        return float(self.leaderboard(gt, predictions)["score"])

    def to_submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        predictions = predictions[predictions["image_id"].isin(image_ids)]
        predicted = set(predictions["image_id"])
        missing = [image_id for image_id in image_ids if image_id not in predicted]
        if self.negative and missing:
            rows = {"image_id": missing, "label": self.negative, "score": 0.5, **dict.fromkeys(BOX, 0.0)}
            predictions = pd.concat([predictions, conform(pd.DataFrame(rows), DETECTIONS)])
        order = {image_id: idx for idx, image_id in enumerate(image_ids)}
        table = predictions.assign(order=predictions["image_id"].map(order))
        return table.sort_values(["order", "score"], ascending=[True, False], kind="stable").drop(columns="order")

    def leaderboard(self, gt: GroundTruth, predictions: pd.DataFrame) -> Score:
        """Compute the leaderboard's metric: the mean average precision, and that of each class."""
        return self.ranking(gt, predictions).scores()

    def ranking(self, gt: GroundTruth, predictions: pd.DataFrame) -> Ranking:
        """Rank the detections of each class by score, as the leaderboard does."""
        gt, predictions = self.drop_ignored(gt, predictions)
        return rank_images(list(gt.images["image_id"]), gt.boxes, predictions, self.negative)

    def drop_ignored(self, gt: GroundTruth, predictions: pd.DataFrame) -> tuple[GroundTruth, pd.DataFrame]:
        """Drop detections in ignored regions, which are neither true nor false positives.

        Where there is a negative class, images with ignored regions and no object are dropped too: they are neither
        negative nor positive.
        """
        if gt.regions.empty:
            return gt, predictions
        if self.negative:
            undecided = set(gt.regions["image_id"]) - set(gt.boxes["image_id"])
            gt = gt.subset([image_id for image_id in gt.images["image_id"] if image_id not in undecided])
            predictions = predictions[~predictions["image_id"].isin(undecided)].reset_index(drop=True)
        return gt, drop_ignored(predictions, gt.boxes, gt.regions)


class NegativeTask(DetectionTask):
    """Detection without boxes: the prediction table has the negative row of each image and no other."""

    def __init__(self, settings: TaskConfig, classes: list[str]) -> None:
        super().__init__(settings, classes)
        self.primary_metric = f"ap/{self.negative}"

    def fit_config(self, gt: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        return self.settings

    @property
    def tile_size(self) -> None:
        """None: the model averages over the whole image."""

    def collate(self, samples: list[BoxedSample]) -> Batch:
        """Pad to squares: the model averages over padding too, which then depends on no other image of a batch."""
        from tropho.tasks.datasets import pad_batch

        return pad_batch(samples, STRIDE, square=True)

    def score(self, gt: GroundTruth, predictions: pd.DataFrame) -> float:
        """Compute the average precision of the negative class.

        Raises:
            DataError: no image is empty.
        """
        ap = self.leaderboard(gt, predictions)["ap"]
        if self.negative not in ap:
            raise DataError(
                "Model 'negative_classifier' can't be scored: none of its validation images is empty; make fewer "
                "folds (split.n_folds), or leave that member out."
            )
        return ap[self.negative]
