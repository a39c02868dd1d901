"""Samples of images with one class each, and how much each counts in the loss."""

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


class ClassificationDataset(Dataset[Sample]):
    """Samples (image uint8 (3, size, size), label or -1 if unknown, weight in the loss, index)."""

    def __init__(
        self, pack: ImageCache, truth: GroundTruth, classes: list[str], settings: TaskConfig, train: bool
    ) -> None:
        self.scenes = AnnotatedImages(pack, truth.images)
        self.seed = settings.train.seed
        self.augmenter = TrainTransform(settings.augment, boxed=False, scenes=self.scenes) if train else None
        self.plain = build_policy("none", settings.augment.image_size, boxed=False)
        numbers = {name: number for number, name in enumerate(classes)}
        self.labels = [numbers.get(label, -1) for label in truth.images["label"]]
        weights = class_weights(self.labels, len(classes))
        self.weights = weights if train and settings.train.class_weights == "balanced" else np.ones_like(weights)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, key: Any) -> Sample:
        if self.augmenter:
            epoch, index, draw = key
            image = self.augmenter(index, sample_seed(self.seed, epoch, index, draw)).image
        else:
            index = key
            image, _, _ = self.plain(*self.scenes[index], seed=0)
        label = self.labels[index]
        return torch.from_numpy(image).permute(2, 0, 1), label, float(self.weights[label]), index


def no_boxes() -> tuple[np.ndarray, np.ndarray]:
    """Boxes (0, 4) float32 and labels (0,) int64."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)


def class_weights(labels: list[int], classes: int) -> np.ndarray:
    """Inverse frequency of each class, (classes,), with mean 1 over the samples; 0 for a class without samples."""
    counts = Counter(label for label in labels if label >= 0)
    total, present = sum(counts.values()), max(len(counts), 1)
    return np.array([total / (present * counts[each]) if counts[each] else 0.0 for each in range(classes)])
