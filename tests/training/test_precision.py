"""Every model but a DETR trains in bfloat16 on a CPU; a compiled one ends with the same weights."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from tropho.config.model_config import TORCHVISION
from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache, write_cache
from tropho.models.detector import Detector
from tropho.tables import BOXES, conform
from tropho.tasks import build_task
from tropho.training.devices import compile_layers
from tropho.training.loop import Trainer

SMALL = {
    "augment.image_size": 128, "augment.policy": "none", "train.epochs": 1, "train.batch_size": 2,
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
    **dict.fromkeys(("fcos", *TORCHVISION, "negative_classifier"), ("smear_demo", DETECTOR)),
}


@pytest.fixture
def boxed(tmp_path):
    """Four pictures of 128 pixels, half of which have two boxes.

    They are that large because of a fault of oneDNN: in bfloat16 on a CPU, the gradient of a kernel of stride 2 is
    arbitrary where its input is one position, as that of P7 is for images of up to 64 pixels.
    """
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        Image.fromarray(rng.integers(0, 200, (128, 128, 3)).astype(np.uint8)).save(tmp_path / name)
    images = pd.DataFrame({"image_id": names, "path": names, "label": ["a", "b"] * 2})
    write_cache(images, tmp_path, tmp_path / "pack", 128)
    rows = [(name, label, 4.0, 4.0, 40.0, 44.0) for name in names[::2] for label in "ab"]
    gt = GroundTruth(images, conform(pd.DataFrame(rows, columns=list(BOXES)[:6]), BOXES))
    return ImageCache(tmp_path / "pack"), gt


SLOW = {"torchvision_faster_rcnn"}
"""Its head runs four convolutions on a thousand proposals."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES])
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

    def note(layers):
        compiled.append(layers)

    monkeypatch.setattr(nn.Module, "compile", note)
    for name in ("fcos", "negative_classifier", "lenet"):
        kind, changes = CASES[name]
        model = build_task(settings(kind, **{**SMALL, **changes, "model.name": name}), ["a", "b"]).build_model()
        compile_layers(model)
        expected = model.pyramid if isinstance(model, Detector) else getattr(model, "network", model)
        assert compiled.pop() is expected


def test_compiled_training_has_the_same_weights(settings, data, monkeypatch):
    """Compiled by a backend that runs the captured graph as it is, which needs no compiler."""
    pack, gt = data
    small = {**SMALL, "augment.image_size": 32, "model.name": "lenet"}
    compile_ = nn.Module.compile
    calls = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: calls.append(self) or compile_(self, backend="eager"))
    found = []
    for on in (False, True):
        made = settings("cells_demo", **{**small, "train.compile": on})
        found.append(Trainer(build_task(made, ["a", "b"]), pack, gt, gt, 0).fit())
    assert len(calls) == 1
    torch.testing.assert_close(found[1].weights, found[0].weights, rtol=1e-5, atol=1e-6)
