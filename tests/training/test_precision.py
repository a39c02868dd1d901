"""Every model but a DETR trains, validates and goes on in bfloat16 on a CPU; a compiled one ends with the same weights."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tropho.config.model_config import TORCHVISION
from tropho.data.task_data import GroundTruth
from tropho.models.detector import Detector
from tropho.tables import BOXES, conform
from tropho.tasks import build_task
from tropho.training.devices import compile_layers
from tropho.training.loop import Trainer

SMALL = {
    "augment.image_size": 32, "augment.policy": "none", "train.epochs": 1, "train.batch_size": 4,
    "train.val_interval": 1, "train.ema_decay": 0.9, "model.backbone": "resnet18", "model.pretrained": False,
}  # fmt: skip
DETECTOR = {
    "augment.copy_paste_prob": 0.0, "augment.mosaic_prob": 0.0, "augment.crop_size": None, "model.norm": "frozen",
    "model.fpn_channels": 16, "model.fpn_levels": [3, 4], "model.fit_levels": False, "model.num_head_convs": 1,
}  # fmt: skip
CASES = {
    "mlp": ("cells_demo", {"model.hidden_units": [8]}),
    "lenet": ("cells_demo", {}),
    "resnet": ("cells_demo", {"model.norm": "group"}),
    **{name: ("smear_demo", DETECTOR) for name in ("fcos", *TORCHVISION, "negative_classifier")},
}


@pytest.fixture
def boxed(data):
    """The pictures of `data`, half of which have two boxes."""
    pack, gt = data
    rows = [(name, label, 4.0, 4.0, 20.0, 24.0) for name in gt.images["image_id"][::2] for label in "ab"]
    return pack, GroundTruth(gt.images, conform(pd.DataFrame(rows, columns=list(BOXES)[:6]), BOXES))


@pytest.mark.parametrize("name", CASES)
def test_fit_in_bfloat16(settings, boxed, name):
    pack, gt = boxed
    kind, changes = CASES[name]
    found = []
    for precision in ("bf16", "float32"):
        made = settings(kind, **{**SMALL, **changes, "model.name": name, "train.precision": precision})
        found.append(Trainer(build_task(made, ["a", "b"]), pack, gt, gt, 0).fit())
    half, single = found
    assert {value.dtype for value in half.weights.values() if value.is_floating_point()} == {torch.float32}
    assert all(np.isfinite(value) for key, value in half.state.history[0].items() if key != "score")
    assert half.state.history[0]["loss"] == pytest.approx(single.state.history[0]["loss"], rel=0.05)
    assert half.state.history[0]["loss"] != single.state.history[0]["loss"]  # so that it was bfloat16


def test_compile_layers_leaves_losses_out(settings, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    for name in ("fcos", "negative_classifier", "lenet"):
        kind, changes = CASES[name]
        model = build_task(settings(kind, **{**SMALL, **changes, "model.name": name}), ["a", "b"]).build_model()
        compile_layers(model)
        expected = model.pyramid if isinstance(model, Detector) else getattr(model, "network", model)
        assert compiled.pop() is expected


def test_compiled_training_has_the_same_weights(settings, data, monkeypatch):
    """Compiled by a backend that runs the captured graph as it is, which needs no compiler."""
    pack, gt = data
    compile_ = nn.Module.compile
    calls = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: calls.append(self) or compile_(self, backend="eager"))
    found = []
    for on in (False, True):
        made = settings("cells_demo", **{**SMALL, "model.name": "lenet", "train.compile": on})
        found.append(Trainer(build_task(made, ["a", "b"]), pack, gt, gt, 0).fit())
    assert len(calls) == 1
    torch.testing.assert_close(found[1].weights, found[0].weights, rtol=1e-5, atol=1e-6)
