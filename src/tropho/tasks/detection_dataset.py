"""Dataset of images with boxes, and their batches."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.images.annotated import REGION, AnnotatedImages
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache
from tropho.seeds import sample_seed
from tropho.tasks.base import Batch

Sample = tuple[Tensor, dict[str, Tensor], int]
"""Image (3, h, w) uint8, target (see `Batch`), row in `GroundTruth.images`."""


class DetectionDataset(Dataset[Sample]):
    """Samples in row order of `gt.images`; see `Task.build_dataset`."""

    def __init__(
        self, cache: ImageCache, gt: GroundTruth, classes: list[str], settings: TaskConfig, train: bool
    ) -> None:
        self.images = AnnotatedImages(cache, gt.images, pd.concat([gt.boxes, gt.regions]), classes)
        self.seed = settings.train.seed
        self.transform = TrainTransform(settings.augment, boxed=True, scenes=self.images) if train else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Any) -> Sample:
        if self.transform:
            epoch, idx, draw = key
            annotated = self.transform(idx, sample_seed(self.seed, epoch, idx, draw))
        else:
            idx, annotated = key, self.images[key]
        boxes, labels = torch.tensor(annotated.boxes), torch.tensor(annotated.labels)  # copies: arrays may be read-only
        is_object = labels != REGION
        target = {"boxes": boxes[is_object], "labels": labels[is_object], "regions": boxes[~is_object]}
        target["ignore"] = torch.from_numpy(self.images.ignored[idx])
        image = annotated.image if annotated.image.flags.writeable else annotated.image.copy()
        return torch.from_numpy(image).permute(2, 0, 1), target, idx


def pad_batch(samples: list[Sample], stride: int, square: bool = False) -> Batch:
    """Stack samples into a batch, padded with black at the right and bottom.

    Args:
        samples: B samples.
        stride: height and width become multiples of it, pixels.
        square: pad to squares.
    """
    images, targets, idx = zip(*samples, strict=True)
    height, width = (-(-max(image.shape[axis] for image in images) // stride) * stride for axis in (1, 2))
    if square:
        height = width = max(height, width)
    padded = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
    for row, image in zip(padded, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    sizes = torch.tensor([image.shape[1:] for image in images])  # (B, 2)
    return {"images": padded, "targets": list(targets), "index": torch.tensor(idx), "sizes": sizes}


def cached_box_sizes(boxes: pd.DataFrame, sizes: ImageSizes) -> np.ndarray:
    """Compute width and height of boxes after resizing.

    Args:
        boxes: tables.BOXES, N rows.
        sizes: of their images.

    Returns: (N, 2) float64, pixels of the cached images.
    """
    scale = np.array([sizes.scale(image_id) for image_id in boxes["image_id"]]).reshape(-1, 2)
    width, height = boxes["xmax"] - boxes["xmin"], boxes["ymax"] - boxes["ymin"]
    return np.stack([width, height], axis=1) * scale
