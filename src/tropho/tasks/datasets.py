"""Datasets of images with boxes, or with one class each, and batches of images with boxes."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.images.annotated import REGION, AnnotatedImage, AnnotatedImages
from tropho.images.augment.policies import letterbox
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache
from tropho.seeds import sample_seed
from tropho.tasks.base import Batch

BoxedSample = tuple[Tensor, dict[str, Tensor], int]
"""Image (3, h, w) uint8, target (see `Batch`), row in `GroundTruth.images`."""

LabelledSample = tuple[Tensor, int, float, int]
"""Image (3, size, size) uint8, class index (-1 = unknown), weight in the loss, row in `GroundTruth.images`."""


class _AugmentedDataset(Dataset[Any]):
    """Images in row order of `gt.images`, augmented in training; see `Task.build_dataset`."""

    def __init__(self, images: AnnotatedImages, settings: TaskConfig, train: bool, boxed: bool) -> None:
        self.images, self.seed = images, settings.train.seed
        self.transform = TrainTransform(settings.augment, boxed, images) if train else None

    def __len__(self) -> int:
        return len(self.images)

    def image_of(self, key: Any) -> tuple[AnnotatedImage, int]:
        """Return the image of a key, which is its row or, in training, (epoch, row, draw); and the row."""
        if self.transform is None:
            return self.images[key], key
        epoch, idx, draw = key
        return self.transform(idx, sample_seed(self.seed, epoch, idx, draw)), idx


class DetectionDataset(_AugmentedDataset):
    """Samples with boxes and ignored regions."""

    def __init__(
        self, cache: ImageCache, gt: GroundTruth, classes: list[str], settings: TaskConfig, train: bool
    ) -> None:
        images = AnnotatedImages(cache, gt.images, pd.concat([gt.boxes, gt.regions]), classes)
        super().__init__(images, settings, train, boxed=True)

    def __getitem__(self, key: Any) -> BoxedSample:
        annotated, idx = self.image_of(key)
        boxes, labels = torch.tensor(annotated.boxes), torch.tensor(annotated.labels)  # copies: arrays may be read-only
        is_object = labels != REGION
        target = {"boxes": boxes[is_object], "labels": labels[is_object], "regions": boxes[~is_object]}
        target["ignore"] = torch.from_numpy(self.images.ignored[idx])
        image = annotated.image if annotated.image.flags.writeable else annotated.image.copy()
        return torch.from_numpy(image).permute(2, 0, 1), target, idx


class ClassificationDataset(_AugmentedDataset):
    """Samples with a class, padded to squares."""

    def __init__(
        self, cache: ImageCache, gt: GroundTruth, classes: list[str], settings: TaskConfig, train: bool
    ) -> None:
        super().__init__(AnnotatedImages(cache, gt.images), settings, train, boxed=False)
        self.size = settings.augment.image_size
        indices = {name: idx for idx, name in enumerate(classes)}
        self.labels = [indices.get(label, -1) for label in gt.images["label"]]
        weights = class_weights(self.labels, len(classes))
        self.weights = weights if settings.train.class_weights == "balanced" else np.ones_like(weights)

    def __getitem__(self, key: Any) -> LabelledSample:
        annotated, idx = self.image_of(key)
        image = annotated.image if self.transform else letterbox(annotated.image, annotated.boxes, self.size)[0]
        label = self.labels[idx]
        return torch.from_numpy(image).permute(2, 0, 1), label, float(self.weights[label]), idx


def class_weights(labels: list[int], n_classes: int) -> np.ndarray:
    """Compute inverse class frequencies (C,) with mean 1 over the samples; 0 for a class without samples.

    Negative class indices are unknown and don't count.
    """
    counts = Counter(label for label in labels if label >= 0)
    total, present = sum(counts.values()), max(len(counts), 1)
    return np.array([total / (present * counts[idx]) if counts[idx] else 0.0 for idx in range(n_classes)])


def pad_batch(samples: list[BoxedSample], stride: int, square: bool = False) -> Batch:
    """Stack samples into a batch, padded with black at the right and bottom to multiples of `stride`, or to squares."""
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
    """Compute width and height of boxes after resizing, (N, 2) float64, pixels of the cached images."""
    scale = np.array([sizes.scale(image_id) for image_id in boxes["image_id"]]).reshape(-1, 2)
    width, height = boxes["xmax"] - boxes["xmin"], boxes["ymax"] - boxes["ymin"]
    return np.asarray(np.stack([width, height], axis=1) * scale)
