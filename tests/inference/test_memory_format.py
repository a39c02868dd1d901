"""A model predicts in the memory format that it was trained in."""

import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from tropho.inference.predictor import load_predictor
from tropho.tasks import build_task


def test_a_loaded_model_has_the_memory_format_of_its_training(settings, tmp_path):
    made = settings("cells_demo", **{"model.name": "lenet"})
    save_file(build_task(made, ["a", "b"]).build_model().state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"settings": made.model_dump(), "classes": ["a", "b"]}))
    model = load_predictor(tmp_path).model
    kernels = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert {each.is_contiguous(memory_format=torch.channels_last) for each in kernels} == {True}
