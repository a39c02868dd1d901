"""Define the protocol of a task: data, model, loss, predictions, post-processing, score and submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.images.cache import ImageCache

if TYPE_CHECKING:  # a task makes tables without torch too, from outputs of ONNX models
    from torch import Tensor, nn
    from torch.utils.data import Dataset

    from tropho.boxes.tta import TtaView

Batch = dict[str, Any]
"""A collated batch.

- "images": (B, 3, H, W) uint8 RGB.
- "index": (B,) int64, row of each image in `GroundTruth.images`.
- "targets": classification: {"label": (B,) int64 class index, -1 = unknown; "weight": (B,) float32, of the loss}.
  Detection: B dicts with "boxes" (n, 4) float32 xyxy, pixels of the image; "labels" (n,) int64 class index; "ignore"
  (C,) bool, classes that are not learned here; "regions" (m, 4) float32 xyxy, ignored regions.
- "sizes": detection only, (B, 2) int64, height and width of each image without padding.
"""


class Task(Protocol):
    """A kind of problem. Every image_id is a string, and "pixels" are of the original image unless stated otherwise.

    A prediction table is one of two kinds. Its rows follow the order of the images that were predicted.

    - Detection: tables.DETECTIONS, one row a box in xyxy pixels; several rows an image, or none. Where the audit
      names a negative class, the last row of each image is of that class: box 0, 0, 0, 0, score P(no object).
    - Classification: image_id; label, the most probable class; p_<class> float64, one column a class, summing to 1.
    """

    settings: TaskConfig
    classes: list[str]  # C names, in the order of class indices; without the negative class
    primary_metric: str  # metric that is maximised: a key of `Evaluator.metrics`

    def fit_config(self, gt: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        """Fit the settings that depend on training data, such as anchors.

        Args:
            gt: of all training images.
            sizes: of the same images, before and after resizing.

        Returns: the complete settings; `self.settings` where nothing is fitted.
        """
        return self.settings

    def strata(self, gt: GroundTruth) -> list[str]:
        """Name the stratum of each image for balanced sampling: its label, or the sorted names of its boxes."""

    def build_dataset(self, cache: ImageCache, gt: GroundTruth, train: bool) -> Dataset[Any]:
        """Build a dataset of samples in row order of `gt.images`.

        Args:
            cache: holds the images.
            gt: of the images to load.
            train: augment, and index by (epoch, index, draw), which seed the augmentation; otherwise index by int.
        """

    def sample(self, image: np.ndarray) -> Any:
        """Convert one image (h, w, 3) uint8 RGB of cached size to a sample without labels."""

    def collate(self, samples: list[Any]) -> Batch:
        """Stack samples into a batch; images are padded with black at the right and bottom to one size."""

    def build_model(self) -> nn.Module:
        """Build a model with pretrained weights, or weights drawn from torch's present random state."""
        from tropho.models import build_model

        settings = self.settings
        return build_model(settings.model, settings.kind, len(self.classes), settings.augment.image_size)

    def compute_loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the named parts of the loss: scalars (), whose sum is minimised."""

    def predict(self, model: nn.Module, batch: Batch, view: TtaView | None = None) -> list[dict[str, Tensor]]:
        """Predict the images of a batch.

        Args:
            model: in evaluation mode, on the batch's device.
            batch: as `collate` made it.
            view: test-time view, predicted in tiles where `predict.tile_size` says so; None = the plain whole image,
                which depends on no setting of prediction (training validates so).

        Returns: B dicts of CPU tensors. Detection: "boxes" (n, 4) float32 xyxy, pixels of the cached image; "scores"
            (n,) float32, 0..1, descending; "labels" (n,) int64; "presence" () float32, P(any object).
            Classification: "probabilities" (C,) float32.
        """

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], sizes: ImageSizes) -> pd.DataFrame:
        """Convert outputs of `predict` to a prediction table.

        Args:
            outputs: N dicts.
            image_ids: N ids, in the same order.
            sizes: of these images, to convert cached to original pixels.
        """

    def fuse_views(self, tables: list[pd.DataFrame], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Fuse the prediction tables of one model's views, or of a member's folds, for the same images.

        Args:
            tables: at least one; a single table is returned as it is.
            params: content of postprocess.json; None = as set.
        """

    def fuse_members(self, tables: dict[str, list[pd.DataFrame]], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Fuse the views of each of the ensemble's members, then the members.

        Args:
            tables: prediction tables of the same images, by member; at least one each.
            params: content of postprocess.json, with "weights" by member; None = as set.
        """

    def postprocess(
        self,
        raw: pd.DataFrame,
        params: dict[str, Any] | None = None,
        ignore_classes: pd.Series | None = None,
    ) -> pd.DataFrame:
        """Convert raw predictions into the rows that are scored and submitted. Images are independent.

        Args:
            raw: prediction table.
            params: content of postprocess.json; None skips every fitted step.
            ignore_classes: `GroundTruth.ignore_classes` of at least these images; None drops nothing.

        Returns: a table of the same columns; rows may be missing, scores stay in 0..1.
        """

    def score(self, gt: GroundTruth, predictions: pd.DataFrame) -> float:
        """Compute `primary_metric` alone, fast enough for every epoch; NaN where it is undefined.

        Args:
            gt: of the scored images.
            predictions: post-processed, of exactly these images.
        """

    def to_submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        """Convert post-processed predictions to the rows of a submission, in the order of `image_ids`.

        Returns: a prediction table in which every image has a row: without a prediction, all classes are equally
            probable, or the negative class has score 0.5. Boxes of an image are sorted by descending score.
        """
