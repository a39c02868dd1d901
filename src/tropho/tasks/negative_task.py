"""Whether there is any object in an image: a member of a detection ensemble that finds no boxes."""

import pandas as pd

from tropho.config.model_config import STRIDE
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.errors import DataError
from tropho.tasks.base import Batch
from tropho.tasks.detection_dataset import Sample, pad_batch
from tropho.tasks.detection_task import DetectionTask


class NegativeTask(DetectionTask):
    """Detection without boxes: the prediction table has the negative row of each image and no other.

    Its score is the average precision of the negative class, the one part of the leaderboard's metric that it has a
    share in.
    """

    def __init__(self, settings: TaskConfig, classes: list[str]) -> None:
        super().__init__(settings, classes)
        self.primary_metric = f"ap/{self.negative}"

    def fit_config(self, truth: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        """The settings as they are: there are no anchors."""
        return self.settings

    @property
    def tile(self) -> None:
        """None: the network has learned to average over whole images, and finds nothing that tiles could lose."""

    def collate(self, samples: list[Sample]) -> Batch:
        """As for detection, but padded to a square: the network averages over the image, its padding included.

        Whole images have one longer side, so that what is averaged doesn't depend on the others of a batch.
        """
        return pad_batch(samples, STRIDE, square=True)

    def score(self, truth: GroundTruth, predictions: pd.DataFrame) -> float:
        """Average precision of the negative class.

        Raises:
            DataError: no image is empty.
        """
        found = self.leaderboard(truth, predictions)["ap"]
        if self.negative not in found:
            raise DataError(
                "None of the images that model 'negative_classifier' is validated on is empty, so that it can't be "
                "judged; make fewer folds (split.n_folds), or leave that member out."
            )
        return found[self.negative]
