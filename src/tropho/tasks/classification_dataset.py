"""Dataset of images with one class each."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.images.annotated import AnnotatedImages
from tropho.images.augment.policies import build_policy
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache
from tropho.seeds import sample_seed

Sample = tuple[Tensor, int, float, int]
"""Image (3, size, size) uint8, class index (-1 = unknown), weight in the loss, row in `GroundTruth.images`."""


class ClassificationDataset(Dataset[Sample]):
    """Samples in row order of `gt.images`, padded to squares; see `Task.build_dataset`."""

    def __init__(
        self, cache: ImageCache, gt: GroundTruth, classes: list[str], settings: TaskConfig, train: bool
    ) -> None:
        self.images = AnnotatedImages(cache, gt.images)
        self.seed = settings.train.seed
        self.transform = TrainTransform(settings.augment, boxed=False, scenes=self.images) if train else None
        self.pad = build_policy("none", settings.augment.image_size, boxed=False)
        indices = {name: idx for idx, name in enumerate(classes)}
        self.labels = [indices.get(label, -1) for label in gt.images["label"]]
        weights = class_weights(self.labels, len(classes))
        self.weights = weights if settings.train.class_weights == "balanced" else np.ones_like(weights)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Any) -> Sample:
        if self.transform:
            epoch, idx, draw = key
            image = self.transform(idx, sample_seed(self.seed, epoch, idx, draw)).image
        else:
            idx = key
            image, _, _ = self.pad(*self.images[idx], seed=0)
        label = self.labels[idx]
        return torch.from_numpy(image).permute(2, 0, 1), label, float(self.weights[label]), idx


def class_weights(labels: list[int], n_classes: int) -> np.ndarray:
    """Compute inverse class frequencies with mean 1 over the samples.

    Args:
        labels: class indices; negative ones are unknown and don't count.
        n_classes: C.

    Returns: (C,) float64; 0 for a class without samples.
    """
    counts = Counter(label for label in labels if label >= 0)
    total, present = sum(counts.values()), max(len(counts), 1)
    return np.array([total / (present * counts[idx]) if counts[idx] else 0.0 for idx in range(n_classes)])
