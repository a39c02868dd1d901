"""A trained model as it is kept on disk, and what it says of any image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from tropho.config import with_overrides
from tropho.errors import DataError
from tropho.images.pack import resize_long_side
from tropho.settings import TaskSettings
from tropho.tasks import build_task
from tropho.tasks.base import Task


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

    @torch.inference_mode()
    def predict_images(self, images: list[np.ndarray]) -> list[pd.DataFrame]:
        """Predictions for images of any size.

        Args:
            images: arrays (height, width, 3) uint8 RGB.

        Returns:
            One finished prediction table an image, without the column image_id.
        """
        tables = []
        for image in images:
            packed = resize_long_side(image, self.task.settings.augment.size)
            sizes = _Loose({"": _size(image)}, {"": _size(packed)})
            batch = self.task.collate([self.task.sample(packed)])
            batch["images"] = batch["images"].to(next(self.model.parameters()).device)
            table = self.task.to_table(self.task.predict(self.model, batch), [""], sizes)
            tables.append(self.task.finish(table).drop(columns="image_id"))
        return tables


def load_predictor(folder: Path) -> Predictor:
    """Read a fold's weights.safetensors and config.yaml, to the CPU; raise DataError where they are missing."""
    path = folder / "config.yaml"
    if not path.exists():
        raise DataError(f"{folder} holds no trained model; run `dvc repro`, or `tropho train TASK`.")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = TaskSettings.model_validate(config["settings"])
    # All weights come from the file: there is no need to fetch pretrained ones first.
    task = build_task(with_overrides(settings, {"model.pretrained": False}), config["classes"])
    model = task.model()
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return Predictor(task, model.eval())


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
