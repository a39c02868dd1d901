"""A loaded fold: device, memory format, precision."""

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from tropho.inference.predictor import Predictor, best_device, load_predictor
from tropho.tasks import build_task


def test_load_predictor_keeps_the_memory_format(settings, tmp_path):
    made = settings("cells_demo", **{"model.name": "lenet"})
    save_file(build_task(made, ["a", "b"]).build_model().state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"settings": made.model_dump(), "classes": ["a", "b"]}))
    model = load_predictor(tmp_path).model
    kernels = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert {each.is_contiguous(memory_format=torch.channels_last) for each in kernels} == {True}


CLASSES = ["a", "b"]


META = torch.device("meta")
"""A device that every machine has, and that holds no values."""


@pytest.fixture
def folder(settings, tmp_path):
    task = build_task(settings("cells_demo", **{"model.name": "lenet", "augment.image_size": 24}), CLASSES)
    save_file(task.build_model().state_dict(), tmp_path / "weights.safetensors")
    config = {"settings": task.settings.model_dump(), "classes": CLASSES}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_best_device_is_that_of_training(settings):
    from tropho.training.devices import make_accelerator

    assert best_device() == make_accelerator(settings("cells_demo").train).device


def test_load_predictor_moves_the_model_to_the_device(folder):
    assert load_predictor(folder).device.type == "cpu"
    predictor = load_predictor(folder, META)
    assert {each.device.type for each in predictor.model.parameters()} == {"meta"}
    kernels = [each for each in predictor.model.parameters() if each.dim() == 4 and min(each.shape) > 1]
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)


@pytest.mark.parametrize(
    ("precision", "device", "dtype"),
    [("float32", "cpu", None), ("bf16", "cpu", torch.bfloat16), ("fp16", "cpu", None), ("float32", "meta", None)],
)
def test_predict_raw_uses_device_and_precision(settings, precision, device, dtype):
    task = build_task(settings("cells_demo", **{"train.precision": precision}), CLASSES)
    seen = {}

    def predict(model, batch, view):
        seen["device"] = batch["images"].device.type
        seen["dtype"] = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        return [{"probabilities": torch.tensor([0.5, 0.5])}]

    task.predict = predict
    Predictor(task, nn.Linear(1, 1, device=device)).predict_raw(np.zeros((30, 40, 3), np.uint8), "im")
    assert seen == {"device": device, "dtype": dtype}
