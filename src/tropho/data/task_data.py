"""Read what audit, split and augment wrote of a task: tables, folds, test images, the image cache."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.files import fingerprint, read_json, sha256_of
from tropho.images.cache import ImageCache
from tropho.images.decode import DECODING, Decoding
from tropho.paths import Paths
from tropho.tables import BOXES, IMAGES, SPLITS, empty, read_table, split_regions


class ImageSizes(Protocol):
    """Sizes of images before and after resizing; an ImageCache has them."""

    def original_size(self, image_id: str) -> tuple[int, int]:
        """Return width and height of the file's image, pixels."""

    def scale(self, image_id: str) -> tuple[float, float]:
        """Return resized over original size, (x, y)."""


@dataclass(frozen=True)
class SingleImage:
    """Sizes (width, height) of one image before and after resizing; implements `ImageSizes`."""

    original: tuple[int, int]
    resized: tuple[int, int]

    def original_size(self, image_id: str) -> tuple[int, int]:
        return self.original

    def scale(self, image_id: str) -> tuple[float, float]:
        return self.resized[0] / self.original[0], self.resized[1] / self.original[1]


@dataclass(frozen=True)
class GroundTruth:
    """Labels of some images."""

    images: pd.DataFrame  # tables.IMAGES
    boxes: pd.DataFrame  # tables.BOXES, objects only; empty in classification
    # tables.BOXES, ignored regions: what lies in them is neither learned from nor scored
    regions: pd.DataFrame = field(default_factory=lambda: empty(BOXES))

    @property
    def ignore_classes(self) -> pd.Series | None:
        """Classes that annotators left out of an image (tables.join_names), by image_id; None where unknown."""
        return self.images.set_index("image_id")["ignore_classes"] if "ignore_classes" in self.images else None

    def with_labels(self) -> "GroundTruth":
        """The part that can be scored against: images with a label or, if there are boxes, with labels that count."""
        known = pd.Series(True, index=self.images.index) if len(self.boxes) else self.images["label"].notna()
        if "status" in self.images:
            known &= self.images["status"] != "unlabelled"
        return replace(self, images=self.images[known].reset_index(drop=True))

    def subset(self, image_ids: Iterable[str]) -> "GroundTruth":
        """The part that concerns these images, in their order."""
        ids = list(image_ids)
        boxes, regions = (
            table[table["image_id"].isin(ids)].reset_index(drop=True) for table in (self.boxes, self.regions)
        )
        return GroundTruth(self.images.set_index("image_id").loc[ids].reset_index(), boxes, regions)


@dataclass(frozen=True)
class TaskData:
    """A task's data, ready to train on."""

    gt: GroundTruth  # labels of all images
    folds: dict[int, list[str]]  # image ids by fold number
    test_ids: list[str]  # image ids
    cache: ImageCache  # the images at training size
    classes: list[str]  # names in order
    data_hash: str  # of the tables and the cache
    decoding: Decoding = DECODING  # how files became the cache's pixels
    empty_fraction: float = 1.0  # share of a fold's images without boxes that its model trains on
    seed: int = 0  # of their choice

    def train_val(self, fold: int) -> tuple[GroundTruth, GroundTruth]:
        """Split the ground truth into training and validation part of one fold."""
        train = [image_id for number, ids in self.folds.items() if number != fold for image_id in ids]
        return self.gt.subset(self._without_some_empty(train, fold)), self.gt.subset(self.folds[fold])

    def _without_some_empty(self, image_ids: list[str], fold: int) -> list[str]:
        """Leave out images with neither boxes nor ignored regions, so that `empty_fraction` of them stay."""
        if self.empty_fraction == 1.0:
            return image_ids
        marked = {*self.gt.boxes["image_id"], *self.gt.regions["image_id"]}
        empty_ids = [image_id for image_id in image_ids if image_id not in marked]
        order = np.random.default_rng([self.seed, fold]).permutation(len(empty_ids))
        left_out = {empty_ids[idx] for idx in order[round(self.empty_fraction * len(empty_ids)) :]}
        return [image_id for image_id in image_ids if image_id not in left_out]

    def with_empty_fraction(self, fraction: float, seed: int) -> "TaskData":
        """The same, with models trained on a share of the images without boxes, drawn for each fold."""
        return replace(self, empty_fraction=fraction, seed=seed)

    @property
    def fold_of(self) -> dict[str, int]:
        """Return the fold that each training image is validated in."""
        return {image_id: number for number, ids in self.folds.items() for image_id in ids}

    def at_size(self, size: int) -> "TaskData":
        """The same with images of a longer side of at most `size` pixels."""
        return self if size >= self.cache.size else replace(self, cache=ImageCache(self.cache.path, size))


def read_task_data(paths: Paths) -> TaskData:
    """Read what audit, split and augment wrote; a DataError says what is missing, empty or damaged."""
    images_csv, boxes_csv = paths.audit / "images.csv", paths.audit / "boxes.csv"
    images, boxes = read_table(images_csv, IMAGES), read_table(boxes_csv, BOXES)
    splits = read_table(paths.splits, SPLITS)
    train = splits[splits["subset"] == "train"]
    if train.empty:
        raise DataError(f"{paths.splits} holds no training image; see {paths.audit / 'issues.csv'} for why.")
    summary = read_json(paths.audit / "summary.json")
    cache = ImageCache(paths.augmented / "cache")
    cache.check()
    return TaskData(
        gt=GroundTruth(images, *split_regions(boxes)),
        folds={int(str(fold)): list(part["image_id"]) for fold, part in train.groupby("fold")},
        test_ids=list(splits.loc[splits["subset"] == "test", "image_id"]),
        cache=cache,
        classes=summary["classes"],
        data_hash=fingerprint([*map(sha256_of, (images_csv, boxes_csv, paths.splits)), cache.sha256]),
        decoding=Decoding.recorded(summary),
    )


def rows_of(truth: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions for the images of `truth`."""
    return predictions[predictions["image_id"].isin(truth.images["image_id"])].reset_index(drop=True)
