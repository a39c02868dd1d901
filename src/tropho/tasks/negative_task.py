"""Negative classifier: a member of a detection ensemble that predicts P(no object) and finds no boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tropho.config.model_config import STRIDE
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.errors import DataError
from tropho.tasks.base import Batch
from tropho.tasks.detection_task import DetectionTask

if TYPE_CHECKING:
    from tropho.tasks.datasets import BoxedSample


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
