"""What the pipeline needs to know of a kind of problem; classification.py and detection.py answer it."""

from typing import Any, Protocol

import numpy as np
import pandas as pd
from torch import Tensor, nn
from torch.utils.data import Dataset

from tropho.boxes.tta import TtaView
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.images.cache import ImageCache

Batch = dict[str, Any]
"""A collated batch: "images" (B, 3, H, W) uint8, "targets" (the task's own), "index" (B,) int64 rows.

Detection adds "sizes" (B, 2) int64, heights and widths without padding.
"""


class Task(Protocol):
    """A kind of problem: its data, model, loss, predictions, post-processing, score and submission."""

    settings: TaskConfig
    classes: list[str]
    primary_metric: str
    """The metric that is maximised, as a key of the evaluator's metrics."""

    def fit_config(self, truth: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        """The settings, in which what the network takes from the training data before it learns is explicit."""

    def strata(self, truth: GroundTruth) -> list[str]:
        """One name an image, by which balanced sampling draws equally often."""

    def build_dataset(self, pack: ImageCache, truth: GroundTruth, train: bool) -> Dataset[Any]:
        """Samples in the order of `truth.images`; augmented in training.

        A training set is indexed by (epoch, index, draw), which also seed the augmentation; any other by index.
        """

    def sample(self, image: np.ndarray) -> Any:
        """A sample for prediction from an image (h, w, 3) uint8 RGB at packed size."""

    def collate(self, samples: list[Any]) -> Batch:
        """Samples -> a batch, images padded to one size."""

    def build_model(self) -> nn.Module:
        """A new model, with initial weights drawn from torch's present random state, or pretrained ones."""

    def compute_loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named parts of the loss, scalars; their sum is minimised."""

    def predict(self, model: nn.Module, batch: Batch, view: TtaView | None = None) -> list[dict[str, Tensor]]:
        """One dict of CPU tensors an image, in pixels of the packed image.

        `view` is the test-time view that the image is seen through, the way that settings.predict asks for. None is
        one plain look, which depends on no setting of prediction: training validates by it.
        """

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], pack: ImageSizes) -> pd.DataFrame:
        """Outputs of `predict` -> the prediction table, boxes in pixels of the original image."""

    def fuse_views(self, tables: list[pd.DataFrame], fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predictions of one model's views, or of a member's folds, for the same images -> one table.

        `fitted` is what evaluation.fit_members returned; without it they are merged as the settings say.
        """

    def fuse_members(self, tables: dict[str, pd.DataFrame], fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predictions of an ensemble's members for the same images -> one table.

        `fitted` as for `merge`; without it members count as the settings say.
        """

    def postprocess(
        self, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignore_classes: pd.Series | None = None
    ) -> pd.DataFrame:
        """Convert raw predictions into the rows that are scored and submitted. Images are independent.

        Args:
            predictions: raw prediction table.
            fitted: result of `Evaluator.fit_postprocess`; None skips every fitted step.
            ignore_classes: `GroundTruth.ignore_classes` of at least these images; None drops nothing.
        """

    def score(self, truth: GroundTruth, predictions: pd.DataFrame) -> float:
        """The metric `primary_metric` alone, quick enough for every epoch; higher is better."""

    def to_submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        """Predictions -> the table that the leaderboard, or the teacher, accepts; every image is in it."""
