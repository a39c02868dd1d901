"""Boxes in an image, and whether there are any."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tropho.boxes.tiles import group_by_size, on_cpu, predict_tiled
from tropho.boxes.tta import TtaView, predict_view
from tropho.config.model_config import STRIDE
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.images.cache import ImageCache
from tropho.metrics.leaderboard_map import Ranking, Score, rank_images
from tropho.metrics.matching import drop_ignored
from tropho.models import build_model
from tropho.models.anchors import fit_to_boxes
from tropho.tables import join_names
from tropho.tasks.base import Batch
from tropho.tasks.detection_dataset import DetectionDataset, Sample, packed_sizes, pad_batch
from tropho.tasks.detection_tables import detections_table, submission_table
from tropho.tasks.fuse_boxes import BoxFusion

HIT_IOU = 0.5
"""Overlap that makes a hit in curves, thresholds, galleries and label issues."""


class DetectionTask:
    """See tasks.base.Task. The prediction table is tables.DETECTIONS.

    Where the audit names a negative class, each image also has one row of that class with the box 0, 0, 0, 0 and
    the probability that nothing is there as its score.
    """

    score_name = "leaderboard_map"

    def __init__(self, settings: TaskConfig, classes: list[str]) -> None:
        self.settings = settings
        self.classes = classes
        self.negative = settings.audit.negative

    def fitted(self, truth: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        """The settings with levels, ranges and anchors fitted to the boxes, where `model.fit_levels` says so."""
        settings = self.settings
        if not settings.model.fit_levels:
            return settings
        model = fit_to_boxes(settings.model, packed_sizes(truth.boxes, sizes))
        return settings.model_copy(update={"model": model})

    def strata(self, truth: GroundTruth) -> list[str]:
        """The classes present in each image, see tables.join_names."""
        present = truth.boxes.groupby("image_id")["label"].agg(join_names)
        return [present.get(image_id, "") for image_id in truth.images["image_id"]]

    def dataset(self, pack: ImageCache, truth: GroundTruth, train: bool) -> DetectionDataset:
        """See base."""
        return DetectionDataset(pack, truth, self.classes, self.settings, train)

    def sample(self, image: np.ndarray) -> Sample:
        """See base."""
        target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
        return torch.from_numpy(image).permute(2, 0, 1), target, 0

    def collate(self, samples: list[Sample]) -> Batch:
        """Images (B, 3, H, W), padded with black at the right and bottom to a multiple of STRIDE."""
        return pad_batch(samples, STRIDE)

    def model(self) -> nn.Module:
        """See base."""
        settings = self.settings
        return build_model(settings.model, settings.kind, len(self.classes), settings.augment.image_size)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The detector's own named losses."""
        losses: dict[str, Tensor] = model(batch["images"], batch["targets"])
        return losses

    @property
    def tile(self) -> int | None:
        """The side of the tiles that images are looked at by; None = whole."""
        return self.settings.predict.tile_size

    def predict(self, model: nn.Module, batch: Batch, view: TtaView | None = None) -> list[dict[str, Tensor]]:
        """One dict an image: boxes (n, 4) xyxy, scores (n,), labels (n,) 0-based, presence ().

        A view is looked at tile by tile if `tile` says so; without a view the image is seen whole.
        """
        if view is None:
            return on_cpu(model(batch["images"]))
        if self.tile is None:
            return predict_view(view, lambda seen: on_cpu(model(seen)), batch["images"], STRIDE)
        chosen, most = self.settings.predict, self.settings.model.max_detections
        tiles = self.tile, chosen.tile_overlap, chosen.batch_size, most

        def look(images: Tensor) -> list[dict[str, Tensor]]:
            return predict_view(view, lambda seen: predict_tiled(model, seen, *tiles), images, STRIDE)

        return group_by_size(look, batch["images"], batch["sizes"])

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], pack: ImageSizes) -> pd.DataFrame:
        """See base; boxes are clipped to the image and empty ones dropped."""
        return detections_table(outputs, image_ids, pack, self.classes, self.negative)

    @property
    def box_fusion(self) -> BoxFusion:
        """How boxes of views, folds and members become one, by the present settings of predict."""
        return BoxFusion(self.settings, self.classes, self.negative)  # settings of predict may change after training

    def merge(self, tables: list[pd.DataFrame], fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """Fuse the boxes of views and folds by predict.ensemble_method, and average P(negative)."""
        return self.box_fusion.merge(tables, fitted)

    def fuse(self, tables: dict[str, pd.DataFrame], fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """As `merge`, with the members' weights by class."""
        return self.box_fusion.fuse(tables, fitted)

    def finish(
        self, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignored: pd.Series | None = None
    ) -> pd.DataFrame:
        """Each box's score scaled by 1 - P(negative) of its image; see predicting.finishing."""
        from tropho.tasks.postprocess import postprocess_detections

        return postprocess_detections(predictions, self.negative, ignored)

    def score(self, truth: GroundTruth, predictions: pd.DataFrame) -> float:
        """The leaderboard's metric."""
        return float(self.leaderboard(truth, predictions)["score"])

    def submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        """Rows of tables.DETECTIONS, image by image in the order given, best first; see box_tables."""
        return submission_table(predictions, image_ids, self.negative)

    def leaderboard(self, truth: GroundTruth, predictions: pd.DataFrame) -> Score:
        """Compute the leaderboard's metric on these images."""
        classes = self.ranking(truth, predictions).classes
        ap = {name: float(ranked.average_precision()) for name, ranked in classes.items()}
        return Score(score=float(np.mean(list(ap.values()))) if ap else float("nan"), ap=ap)

    def ranking(self, truth: GroundTruth, predictions: pd.DataFrame) -> Ranking:
        """Rank the detections of each class by score, as the leaderboard does."""
        truth, predictions = self.scored(truth, predictions)
        return rank_images(list(truth.images["image_id"]), truth.boxes, predictions, self.negative)

    def scored(self, truth: GroundTruth, predictions: pd.DataFrame) -> tuple[GroundTruth, pd.DataFrame]:
        """Drop the detections in ignored regions, which are neither right nor wrong.

        Where there is a negative class, an image that has ignored regions and no object is neither negative nor
        positive, and doesn't count.
        """
        if truth.regions.empty:
            return truth, predictions
        if self.negative:
            undecided = set(truth.regions["image_id"]) - set(truth.boxes["image_id"])
            truth = truth.of([each for each in truth.images["image_id"] if each not in undecided])
            predictions = predictions[~predictions["image_id"].isin(undecided)].reset_index(drop=True)
        return truth, drop_ignored(predictions, truth.boxes, truth.regions)
