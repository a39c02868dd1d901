"""Cached images with their boxes, by number."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tropho.images.cache import ImageCache
from tropho.tables import BOX, is_region, split_names

REGION = -1  # label of an ignored region


class AnnotatedImage(NamedTuple):
    """An image with its boxes."""

    image: np.ndarray  # (h, w, 3) uint8 RGB
    boxes: np.ndarray  # (n, 4) float32 xyxy pixels: objects and ignored regions
    labels: np.ndarray  # (n,) int64 class numbers; REGION for an ignored region

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


class AnnotatedImages:
    """The cached images of a table, each with its boxes scaled to it.

    Args:
        cache: holds every image.
        images: column image_id, and ignored (tables.IMAGES) if classes are not labelled in some images.
        boxes: tables.BOXES, ignored regions included, pixels of the original images; None for classification.
        classes: names in the order of their numbers.
    """

    def __init__(
        self, cache: ImageCache, images: pd.DataFrame, boxes: pd.DataFrame | None = None, classes: Sequence[str] = ()
    ) -> None:
        self._cache = cache
        self.image_ids = list(images["image_id"])
        self.ignored = _ignored(images, classes)  # (images, classes) bool: classes that are not labelled in an image
        numbers = {name: number for number, name in enumerate(classes)}
        self._targets = {
            image_id: (rows[BOX].to_numpy(np.float64), _labels(rows, numbers))
            for image_id, rows in ([] if boxes is None else boxes.groupby("image_id"))
        }

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, number: int) -> AnnotatedImage:
        return AnnotatedImage(self._cache[self.image_ids[number]], *self.targets(number))

    def targets(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (n, 4) float32 xyxy, pixels of the cached image, and labels (n,), without reading the image."""
        image_id = self.image_ids[number]
        boxes, labels = self._targets.get(image_id, (np.zeros((0, 4)), np.zeros(0, np.int64)))
        return (boxes * np.tile(self._cache.scale(image_id), 2)).astype(np.float32), labels

    def size_of(self, number: int) -> tuple[int, int]:
        """Return width and height of the cached image."""
        return self._cache.size_of(self.image_ids[number])


def _labels(rows: pd.DataFrame, numbers: dict[str, int]) -> np.ndarray:
    """Return (n,) int64 class numbers of boxes, REGION for ignored regions."""
    return rows["label"].map(numbers).mask(is_region(rows), REGION).to_numpy(np.int64)


def _ignored(images: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """(images, classes) bool from the column "ignore_classes", whose cells are made by tables.join_names."""
    if "ignore_classes" not in images:
        return np.zeros((len(images), len(classes)), bool)
    names = [split_names(each) for each in images["ignore_classes"].fillna("[]")]
    return np.array([[label in each for label in classes] for each in names], bool).reshape(len(images), len(classes))
