"""Tests of Grad-CAM."""

import numpy as np
import pytest
import torch
from torch import nn

from tropho.models import build_model
from tropho.plots.grad_cam import class_maps, last_spatial_layer

pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed; `make setup` installs it")


class Corners(nn.Module):
    """Class 0 is brightness in the left half, class 1 in the right."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 1, bias=False)
        nn.init.constant_(self.convolution.weight, 1 / 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.convolution(images.float() / 255)
        half = x.shape[-1] // 2
        return torch.stack([x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))], dim=1)


def test_class_maps_are_bright_where_the_class_is_decided():
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    images[0, :, 2:6, 2:6] = 255
    images[1, :, 8:12, 10:14] = 255
    maps = class_maps(Corners().eval(), images, [0, 1])
    assert maps.shape == (2, 16, 16)
    assert (maps.min(), maps.max()) == pytest.approx((0, 1), abs=1e-4)
    for row, place in enumerate((np.s_[2:6, 2:6], np.s_[8:12, 10:14])):
        assert maps[row][place].min() > 0.99
        assert maps[row].sum() == pytest.approx(16, rel=1e-3)


@pytest.mark.parametrize(("name", "layer"), [("resnet", "body.layer4"), ("lenet", "features"), ("mlp", None)])
def test_last_spatial_layer_by_model(settings, name, layer):
    model = build_model(settings("cells_demo", **{"model.name": name}).model, "classification", 2, 64).eval()
    found = last_spatial_layer(model, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert found is (model.get_submodule(layer) if layer else None)
    assert not any(module._forward_hooks for module in model.modules())


def test_last_spatial_layer_of_small_images_is_earlier(settings):
    model = build_model(settings("cells_demo").model, "classification", 2, 32).eval()
    assert last_spatial_layer(model, torch.zeros(1, 3, 32, 32, dtype=torch.uint8)) is model.body.layer3


def test_class_maps_of_mlp_is_none(settings):
    model = build_model(settings("cells_demo", **{"model.name": "mlp"}).model, "classification", 2, 32).eval()
    assert class_maps(model, torch.zeros(1, 3, 32, 32, dtype=torch.uint8), [0]) is None
