"""Batches of training samples, in an order that seed and epoch alone determine."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from accelerate import Accelerator
from torch.utils.data import DataLoader, Sampler

from tropho.config.train_config import TrainConfig
from tropho.data.task_data import GroundTruth
from tropho.errors import UsageError
from tropho.images.cache import ImageCache
from tropho.tasks.base import Task


class EpochSampler(Sampler[tuple[int, int, int]]):
    """Yields (epoch, index, draw), by which a dataset seeds each sample's augmentation.

    `draw` counts from 0 how often the index came before in the epoch; it is 0 unless sampling is balanced: with
    replacement, every one of `strata`, which name that of each sample, equally often.
    """

    def __init__(self, strata: Sequence[str], seed: int, balanced: bool = False) -> None:
        self.strata = list(strata)
        self.seed = seed
        self.balanced = balanced
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.strata)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.balanced:
            counts = Counter(self.strata)
            weights = np.array([1 / (len(counts) * counts[stratum]) for stratum in self.strata])
            order = rng.choice(len(self), size=len(self), p=weights)
        else:
            order = rng.permutation(len(self))
        n_drawn: Counter[int] = Counter()
        for index in order.tolist():
            yield self.epoch, index, n_drawn[index]
            n_drawn[index] += 1


def make_train_loader(
    task: Task, cache: ImageCache, gt: GroundTruth, sampler: EpochSampler, accelerator: Accelerator
) -> DataLoader[Any]:
    """Make the loader of augmented batches; the images left over after the last full batch are dropped."""
    train, n_images = task.settings.train, len(gt.images)
    batch_size = divisible_batch_size(train, n_images, accelerator.num_processes)
    return DataLoader(
        task.build_dataset(cache, gt, train=True),
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=task.collate,
        num_workers=train.num_workers,
        persistent_workers=train.num_workers > 0,
        pin_memory=accelerator.device.type == "cuda",
        drop_last=n_images > batch_size,
    )


def divisible_batch_size(train: TrainConfig, n_images: int, n_processes: int) -> int:
    """Compute the batch size over all processes, each of which has the same number of images.

    Raises:
        UsageError: there are fewer images than processes.
    """
    size = min(train.images_per_step, n_images)
    if size < n_processes:
        raise UsageError(f"A step has {size} training images, too few for {n_processes} processes; start fewer.")
    return size - size % n_processes
