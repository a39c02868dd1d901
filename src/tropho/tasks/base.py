"""What the pipeline needs to know of a kind of problem; classification.py and detection.py answer it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tropho.images.pack import Pack
from tropho.settings import TaskSettings

Batch = dict[str, Any]
"""A collated batch: "images" (B, 3, H, W) uint8, "targets" (the task's own), "index" (B,) int64 rows."""


@dataclass(frozen=True)
class Truth:
    """What is known of some images: `images` as tables.IMAGES, `boxes` as tables.BOXES (empty for classes)."""

    images: pd.DataFrame
    boxes: pd.DataFrame

    def of(self, image_ids: Iterable[str]) -> "Truth":
        """The part that concerns these images, in their order."""
        ids = list(image_ids)
        boxes = self.boxes[self.boxes["image_id"].isin(ids)]
        return Truth(self.images.set_index("image_id").loc[ids].reset_index(), boxes.reset_index(drop=True))


class Task(Protocol):
    """A kind of problem: its data, model, loss, predictions, scores and pictures."""

    settings: TaskSettings
    classes: list[str]
    score_name: str
    """The metric that is maximised, as a key of `measure`'s result."""

    def dataset(self, pack: Pack, truth: Truth, train: bool) -> Dataset[Any]:
        """Samples in the order of `truth.images`; augmented by the task's policy when `train`."""

    def collate(self, samples: list[Any]) -> Batch:
        """Samples -> a batch, images padded to one size."""

    def model(self) -> nn.Module:
        """A new model with seeded initial weights or pretrained ones."""

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named parts of the loss, scalars; their sum is minimised."""

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Tensor]]:
        """One dict of CPU tensors an image, in pixels of the packed image."""

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], pack: Pack) -> pd.DataFrame:
        """Outputs of `predict` -> the prediction table, boxes in pixels of the original image."""

    def merge(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """Predictions of several models or views for the same images -> one table."""

    def measure(self, truth: Truth, predictions: pd.DataFrame) -> dict[str, float]:
        """Every metric, flat, with names MLflow accepts such as `val/map50` without the prefix."""

    def thresholds(self, truth: Truth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Decision thresholds chosen on these (out-of-fold) predictions."""

    def figures(self, truth: Truth, predictions: pd.DataFrame, raw: Path, to: Path) -> None:
        """Write every plot and gallery for these predictions into the folder `to`."""

    def submission(self, predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
        """Predictions -> the table that the leaderboard, or the teacher, accepts."""


def device_of(model: nn.Module) -> torch.device:
    """The device that a model's first parameter lives on."""
    return next(model.parameters()).device
