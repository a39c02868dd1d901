"""The loss on validation images, computed beside their predictions."""

import math

import torch
from accelerate import Accelerator
from torch import nn

from tropho.models.device_limits import free_memory, is_out_of_memory
from tropho.models.losses import alone
from tropho.tasks.base import Batch, Task
from tropho.training.micro_batches import compute_losses, more_parts, split_batch


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
        parts = split_batch(batch, min(self._n_parts, len(batch["images"])))
        self._model.train()
        for layer in self._model.modules():
            if not list(layer.children()):  # dropout and norms; the modules around them compute losses in training mode
                layer.eval()
        try:
            with alone():  # processes may have different numbers of batches
                losses = [compute_losses(self._task, self._model, part, self._accelerator) for part in parts]
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

    def mean(self) -> float:
        """Return the mean over the images of all processes; NaN without any."""
        total, weight = self._accelerator.reduce(torch.stack([self._sum, self._weight])).tolist()
        weight = max(weight, self._min_weight)
        return total / weight if weight else math.nan
