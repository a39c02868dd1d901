"""Batches in as many parts as the memory needs, and the loss on validation images."""

import math
from itertools import pairwise
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tropho.errors import UsageError
from tropho.models.device_limits import free_memory, is_out_of_memory
from tropho.models.heads import Count, alone, recorded_counts
from tropho.tasks.base import Batch, Task


def with_sum(
    losses: dict[str, Tensor], counts: list[Count], batch: Batch, accelerator: Accelerator
) -> tuple[dict[str, Tensor], Count]:
    """Add the "sum" to the parts of a batch's loss, and return both with the count that they are divided by.

    A loss that recorded no count (see `recorded_counts`) is weighted by images.
    """
    losses = {**losses, "sum": torch.stack(list(losses.values())).sum()}
    n_images = torch.full((), float(len(batch["images"])), device=losses["sum"].device)
    return losses, counts[-1] if counts else Count(n_images * accelerator.num_processes, 0.0, accelerator.num_processes)


def split_batch(batch: Batch, n_parts: int) -> list[Batch]:
    """Split a batch into at most `n_parts` parts of equal size, up to one image."""
    n_images = len(batch["images"])
    n_parts = min(n_parts, n_images)
    bounds = [n_images * number // n_parts for number in range(n_parts + 1)]
    return [_rows(batch, slice(*bound)) for bound in pairwise(bounds)]


def _rows(value: Any, rows: slice) -> Any:
    return {name: _rows(each, rows) for name, each in value.items()} if isinstance(value, dict) else value[rows]


def more_parts(n_parts: int, n_images: int, n_processes: int) -> int:
    """Choose the number of parts after the memory was too small for `n_parts` of them.

    Raises:
        UsageError: a part is one image already, or other processes wait for this one.
    """
    if n_processes > 1:
        raise UsageError(
            f"Out of memory with {n_images} images a step on one of {n_processes} GPUs; lower train.batch_size, since "
            "a step can be divided on a single GPU alone."
        )
    if n_parts >= n_images:
        raise UsageError(
            "Out of memory with one image a step; lower augment.image_size or augment.crop_size, or take a smaller "
            "model.backbone."
        )
    return min(2 * n_parts, n_images)


def describe_parts(model: nn.Module, n_parts: int, n_images: int) -> str:
    """Say that a batch is now taken in parts, and what differs from a whole one."""
    size = -(-n_images // n_parts)
    text = f"out of memory; from here on a step of {n_images} images is {n_parts} of at most {size}, gradients added up"
    norms = any(isinstance(layer, _BatchNorm) for layer in model.modules())
    return f"{text}; batch norm averages over those {size} alone" if norms else text


class ValidationLoss:
    """Averages the training's loss over validation images, without augmentation and dropout.

    Batches are weighted by what their loss is divided by, such as the number of positive positions. So the mean does
    not depend on the size of the batches.

    Args:
        task: computes the loss.
        model: stays in evaluation mode outside of `add`; norms use their running statistics.
        accelerator: precision and processes.
    """

    def __init__(self, task: Task, model: nn.Module, accelerator: Accelerator) -> None:
        self._task, self._model, self._accelerator = task, model, accelerator
        self._sum = self._weight = torch.zeros((), device=accelerator.device)
        self._n_parts, self._min_weight = 1, 0.0

    @torch.inference_mode()
    def add(self, batch: Batch) -> None:
        """Add a batch whose images are on the device.

        Raises:
            UsageError: the memory does not hold the loss of one image.
        """
        parts = split_batch(batch, self._n_parts)
        self._model.train()
        for layer in self._model.modules():
            if not list(layer.children()):  # dropout and norms; the modules around them compute losses in training mode
                layer.eval()
        try:
            losses = [self._compute(part) for part in parts]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            losses = []
        finally:
            self._model.eval()
        if not losses:
            free_memory()
            self._n_parts = more_parts(len(parts), len(batch["images"]), n_processes=1)
            self.add(batch)
        for values, count in losses:
            self._sum = self._sum + values["sum"] * count.mean  # undoes the division, by 1 where nothing is positive
            self._weight = self._weight + count.total / count.n_processes
            self._min_weight = count.min_total

    def _compute(self, batch: Batch) -> tuple[dict[str, Tensor], Count]:
        # Alone, since processes may have different numbers of batches.
        with alone(), self._accelerator.autocast(), recorded_counts() as counts:
            losses = self._task.compute_loss(self._model, batch)
        return with_sum(losses, counts, batch, self._accelerator)

    def mean(self) -> float:
        """Return the mean over the images of all processes; NaN without any."""
        total, weight = self._accelerator.reduce(torch.stack([self._sum, self._weight])).tolist()
        weight = max(weight, self._min_weight)
        return total / weight if weight else math.nan
