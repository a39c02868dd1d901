"""Estimate the memory that a training step needs on a GPU, without one.

    python benchmarks/step_memory.py malaria gpu                                     # task and preset
    python benchmarks/step_memory.py malaria gpu --set model.checkpoint=FOLDER       # without the Hub

Counted for each model of the ensemble, in mixed precision: the tensors that autograd saves for one image, at two sizes,
of which the line gives those of the size it is trained at; and 22 bytes a weight: weight, gradient, AdamW's two
moments and the moving average in float32, and a copy in 16 bits. Not counted, but allowed for: 1 GB for the driver and
the libraries, and a fifth for workspaces and gaps. Weights are new ones, so nothing is downloaded but the configuration
of a checkpoint.
"""

import argparse
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from tropho.config.load import load_params, member_settings, task_settings, with_overrides
from tropho.config.task_config import TaskConfig
from tropho.models import build_model

ROOT = Path(__file__).resolve().parent.parent
SIDES = 320, 576
BOXES = 12
"""In the image that is counted, the mean of the competition's images with boxes."""
WEIGHT_BYTES = 22
OVERHEAD, SHARE = 1e9, 0.8
CARDS = 12, 16, 24, 80
"""GB."""
SHAPE = 0.75
"""Short side of a photo over its long one; windows are squares."""


def saved_bytes(model: nn.Module, side: int) -> int:
    """Bytes of the tensors that autograd saves in the loss of one image, without weights."""
    weights = {each.untyped_storage().data_ptr() for each in [*model.parameters(), *model.buffers()]}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = tensor  # held, so that its place is not used again
        return tensor

    corners = torch.rand(BOXES, 2) * (side - 40)
    boxes = torch.cat([corners, corners + torch.rand(BOXES, 2) * 20 + 15], dim=1)
    targets = [{"boxes": boxes, "labels": torch.arange(BOXES) % 2}]
    images = torch.randint(0, 255, (1, 3, side, side), dtype=torch.uint8)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda each: each), torch.autocast("cpu", torch.bfloat16):
        losses = model(images, targets)
    total = sum(each.untyped_storage().nbytes() for each in saved.values())
    assert torch.isfinite(sum(losses.values()))
    return total


def estimate(settings: TaskConfig) -> tuple[float, float, int]:
    """Bytes that do not depend on the batch, bytes an image, and the side that a model is trained at, pixels."""
    torch.manual_seed(0)
    model = build_model(settings.model, settings.kind, len(settings.audit.classes or []), settings.augment.image_size)
    model.train()
    small, large = (saved_bytes(model, side) for side in SIDES)
    per_pixel = (large - small) / (SIDES[1] ** 2 - SIDES[0] ** 2)
    crop, size = settings.augment.crop_size, settings.augment.image_size
    pixels = crop**2 if crop else size * size * SHAPE
    per_image = small + per_pixel * (pixels - SIDES[0] ** 2)
    return WEIGHT_BYTES * sum(each.numel() for each in model.parameters()), per_image, crop or size


def without_weights(settings: TaskConfig) -> TaskConfig:
    """The same network with new weights; levels that are fitted to boxes are those of the competition."""
    changes = {"model.pretrained": False}
    if settings.model.fpn_levels is None:
        changes |= {"model.fpn_levels": [2, 3, 4]}
    return with_overrides(settings, {**changes, "model.fit_levels": False})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("preset")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes a setting")
    asked = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in asked.set)}
    params = {**load_params(ROOT / "params.yaml"), "preset": asked.preset}
    print(
        "| model | trained at | a step's fixed part | an image | " + " | ".join(f"{card} GB" for card in CARDS) + " |"
    )
    print("|---" * (4 + len(CARDS)) + "|")
    for name, settings in member_settings(with_overrides(task_settings(asked.task, params), changes)).items():
        fixed, image, side = estimate(without_weights(settings))
        batches = [int(max(0.0, card * 1e9 * SHARE - OVERHEAD - fixed) / image) for card in CARDS]
        cells = " | ".join(str(batch) for batch in batches)
        print(f"| {name} ({settings.model.name}) | {side} px | {fixed / 1e9:.1f} GB | {image / 1e9:.2f} GB | {cells} |")


if __name__ == "__main__":
    main()
