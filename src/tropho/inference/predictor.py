"""Load a trained fold from disk, and predict any image with it."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from tropho.config.task_config import TaskConfig
from tropho.files import reading
from tropho.images.decode import DECODING, Decoding
from tropho.inference.ensemble import FoldModel
from tropho.inference.trained_folds import WEIGHTS, read_config
from tropho.models.device_limits import InParts, resolve_precision
from tropho.tasks.base import Task

CPU = torch.device("cpu")
AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> torch.device:
    """Return the GPU if there is one, as in training, else the CPU."""
    from accelerate import PartialState

    device: torch.device = PartialState().device
    return device


@dataclass(frozen=True)
class Predictor(FoldModel):
    """A fold's model with its task."""

    task: Task  # with the present settings of prediction
    model: nn.Module  # in evaluation mode
    decoding: Decoding = DECODING  # how files became the pixels that it was trained on

    @torch.inference_mode()
    def predict_views(self, image: np.ndarray) -> list[Any]:
        """Return the outputs of `Task.predict` for one image of cached size, of each test-time view."""
        batch = self.task.collate([self.task.sample(image)])
        batch["images"] = batch["images"].to(self.device)
        with self._autocast():
            return [self.task.predict(self._in_parts, batch, view) for view in self.task.settings.predict.tta]

    @cached_property
    def _in_parts(self) -> InParts:
        """The model, which remembers how many tiles the memory holds."""
        return InParts(self.model)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def _autocast(self) -> AbstractContextManager[Any]:
        """Enter the precision of training; float16 needs a GPU."""
        kind = self.device.type
        precision = resolve_precision(self.task.settings.train.precision, self.device)
        if precision == "bf16" or (precision == "fp16" and kind != "cpu"):
            return torch.autocast(kind, AUTOCAST_DTYPES[precision])
        return nullcontext()


def load_predictor(folder: Path, device: torch.device = CPU, present: TaskConfig | None = None) -> Predictor:
    """Load a trained fold, in the memory layout that it was trained in.

    Args:
        folder: with weights.safetensors and config.yaml.
        device: for the model.
        present: gives the sections predict, evaluate and submit; None keeps those of the training.

    Raises:
        DataError: a file is missing, or is another version's.
    """
    task, decoding = read_config(folder)
    model = task.build_model()
    with reading(folder / WEIGHTS):
        model.load_state_dict(load_file(folder / WEIGHTS))
    if present is not None:
        sections = {name: getattr(present, name) for name in ("predict", "evaluate", "submit")}
        task.settings = task.settings.model_copy(update=sections)
    model = model.to(device).to(memory_format=torch.channels_last)
    return Predictor(task, model.eval(), decoding)
