"""Models that nobody trained, in the files that `tropho train` writes."""

from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from run_records import fold_entry
from tropho.config.load import member_settings
from tropho.config.task_config import TaskConfig
from tropho.files import write_json
from tropho.paths import Paths
from tropho.tasks import build_task


def write_models(settings: TaskConfig, paths: Paths, classes: list[str], folds: int = 1, spread: float = 1.0) -> None:
    """Write run.json, and weights.safetensors and config.yaml of each fold of each member.

    Args:
        settings: of the task.
        paths: of the task.
        classes: names.
        folds: number of folds.
        spread: factor of the weights of FCOS's last layers, so that scores differ among positions.
    """
    entries: dict[str, Any] = {}
    for name, own in member_settings(settings).items():
        entries[name] = {"folds": []}
        for number in range(folds):
            folder = paths.fold(number, name)
            folder.mkdir(parents=True)
            torch.manual_seed(own.train.seed + number)
            model = build_task(own, classes).build_model()
            _spread(model, spread)
            weights = {key: value.clone() for key, value in model.state_dict().items()}  # one may have two names
            save_file(weights, folder / "weights.safetensors")
            config = {"settings": own.model_dump(), "classes": classes}
            (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
            entries[name]["folds"].append(fold_entry(folder, number))
    write_json(paths.models / "run.json", {**entries.pop("base"), "members": entries})


def _spread(model: nn.Module, factor: float) -> None:
    head = getattr(model, "head", None)
    for name in ("class_logits", "sides", "centerness"):
        if layer := getattr(head, name, None):
            layer.weight.data.mul_(factor)
