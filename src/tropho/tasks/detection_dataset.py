"""Samples of images with boxes, and how large the boxes are in them."""

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


class DetectionDataset(Dataset[Sample]):
    """Samples (image uint8 (3, h, w), target, index).

    A target has "boxes" (n, 4) float32 xyxy packed pixels, "labels" (n,) int64, "ignore" (classes,) bool and
    "regions" (m, 4), ignored ones.
    """

    def __init__(
        self, pack: ImageCache, truth: GroundTruth, classes: list[str], settings: TaskConfig, train: bool
    ) -> None:
        self.scenes = AnnotatedImages(pack, truth.images, pd.concat([truth.boxes, truth.regions]), classes)
        self.seed = settings.train.seed
        self.augmenter = TrainTransform(settings.augment, boxed=True, scenes=self.scenes) if train else None

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, key: Any) -> Sample:
        if self.augmenter:
            epoch, index, draw = key
            scene = self.augmenter(index, sample_seed(self.seed, epoch, index, draw))
        else:
            index, scene = key, self.scenes[key]
        boxes, labels = torch.tensor(scene.boxes), torch.tensor(scene.labels)  # theirs may be read-only
        objects = labels != REGION
        target = {"boxes": boxes[objects], "labels": labels[objects], "regions": boxes[~objects]}
        target["ignore"] = torch.from_numpy(self.scenes.ignored[index])
        image = scene.image if scene.image.flags.writeable else scene.image.copy()  # the pack's own are read-only
        return torch.from_numpy(image).permute(2, 0, 1), target, index


def pad_batch(samples: list[Sample], stride: int, square: bool = False) -> Batch:
    """Images (B, 3, H, W), padded with black at the right and bottom to multiples of `stride`, maybe to squares.

    "sizes" (B, 2) int64 are their heights and widths without it.
    """
    images, targets, index = zip(*samples, strict=True)
    height, width = (-(-max(image.shape[axis] for image in images) // stride) * stride for axis in (1, 2))
    if square:
        height = width = max(height, width)
    padded = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
    for row, image in zip(padded, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    sizes = torch.tensor([image.shape[1:] for image in images])
    return {"images": padded, "targets": list(targets), "index": torch.tensor(index), "sizes": sizes}


def packed_sizes(boxes: pd.DataFrame, sizes: ImageSizes) -> np.ndarray:
    """(n, 2) width and height of the boxes of tables.BOXES in pixels of their packed images."""
    scale = np.array([sizes.scale(image_id) for image_id in boxes["image_id"]]).reshape(-1, 2)
    width, height = boxes["xmax"] - boxes["xmin"], boxes["ymax"] - boxes["ymin"]
    return np.stack([width, height], axis=1) * scale
