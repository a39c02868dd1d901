"""A trained model as it is kept on disk, and what it says of any image."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_yaml, reading
from tropho.images.cache import resize_as_cached
from tropho.images.decode import DECODING, Decoding
from tropho.tasks import build_task
from tropho.tasks.base import Task

CPU = torch.device("cpu")
MIXED = {"bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> torch.device:
    """Choose where models predict: on the GPU if there is one, as in training, else on the CPU."""
    from accelerate import PartialState

    device: torch.device = PartialState().device
    return device


@dataclass(frozen=True)
class _Loose:
    """Sizes of images that are in no pack."""

    original: dict[str, tuple[int, int]]
    packed: dict[str, tuple[int, int]]

    def original_size(self, image_id: str) -> tuple[int, int]:
        return self.original[image_id]

    def scale(self, image_id: str) -> tuple[float, float]:
        (width, height), (packed_width, packed_height) = self.original[image_id], self.packed[image_id]
        return packed_width / width, packed_height / height


@dataclass(frozen=True)
class Predictor:
    """A fold's model with its task."""

    task: Task
    model: nn.Module
    decoding: Decoding = DECODING
    """How files became the pixels that it was trained on."""

    @torch.inference_mode()
    def predict_raw(self, image: np.ndarray, image_id: str, fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """The task's prediction table for one image (height, width, 3) uint8 RGB of any size, over every view.

        `fitted` as for `Task.fuse_views`.
        """
        chosen = self.task.settings.augment
        packed = resize_as_cached(image, chosen.image_size, chosen.grayscale)
        sizes = _Loose({image_id: _size(image)}, {image_id: _size(packed)})
        batch = self.task.collate([self.task.sample(packed)])
        batch["images"] = batch["images"].to(self.device)
        with self._autocast():
            outputs = [self.task.predict(self.model, batch, view) for view in self.task.settings.predict.tta]
        return self.task.fuse_views([self.task.to_table(each, [image_id], sizes) for each in outputs], fitted)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def _autocast(self) -> AbstractContextManager[Any]:
        """Enter the precision that the model was trained and evaluated in; float16 needs a GPU."""
        precision, kind = self.task.settings.train.precision, self.device.type
        if precision == "bf16" or (precision == "fp16" and kind != "cpu"):
            return torch.autocast(kind, MIXED[precision])
        return nullcontext()


def trained_task(folder: Path) -> Task:
    """The task of a trained fold by its config.yaml, without its weights; raise DataError where that is missing."""
    path = folder / "config.yaml"
    if not path.exists():
        raise DataError(f"{folder} holds no trained model; run `dvc repro`, or `tropho train TASK`.")
    config = read_yaml(path)
    try:
        settings = TaskConfig.model_validate(config["settings"])
    except ValidationError:
        raise DataError(f"{folder} was trained by another version of Tropho; train it again.") from None
    # All weights come from the file: there is no need to fetch pretrained ones first.
    return build_task(with_overrides(settings, {"model.pretrained": False}), config["classes"])


def load_predictor(folder: Path, device: torch.device = CPU, present: TaskConfig | None = None) -> Predictor:
    """Read a fold's weights.safetensors and config.yaml.

    Args:
        folder: of the trained fold.
        device: where the model goes, in the memory layout that it was trained in.
        present: gives the settings of predict, evaluate and submit; None leaves those of the training.

    Raises:
        DataError: a file is missing, or is another version's.
    """
    task = trained_task(folder)
    model = task.build_model()
    weights = folder / "weights.safetensors"
    with reading(weights):
        model.load_state_dict(load_file(weights))
    if present is not None:
        sections = {name: getattr(present, name) for name in ("predict", "evaluate", "submit")}
        task.settings = task.settings.model_copy(update=sections)
    decoding = read_yaml(folder / "config.yaml").get("decoding", {})
    model = model.to(device).to(memory_format=torch.channels_last)
    return Predictor(task, model.eval(), Decoding.recorded(decoding))


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
