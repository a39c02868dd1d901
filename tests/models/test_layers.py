import math

import pytest
import torch
from torch import nn

from tropho.models.layers import activation, init_weights


def deep(model, depth: int = 20, width: int = 256) -> tuple[nn.Sequential, torch.Tensor]:
    """A deep network without norms and the deviation of its last activations for standard normal input."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), activation(model)]
    network = nn.Sequential(*layers)
    init_weights(network, model)
    with torch.no_grad():
        return network, network(torch.randn(64, width)).std()


def test_leaky_relu_has_its_slope(settings):
    model = settings("cells_demo", **{"model.activation": "leaky_relu"}).model
    assert activation(model)(torch.tensor([-4.0, 4.0])).tolist() == pytest.approx([-0.04, 4])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "selu", "tanh"])
def test_kaiming_keeps_the_signal_through_depth(settings, name):
    assert 0.2 < deep(settings("cells_demo", **{"model.activation": name}).model)[1] < 2


def test_naive_weights_let_the_signal_vanish(settings):
    assert deep(settings("cells_demo", **{"model.init": "naive"}).model)[1] < 1e-6


@pytest.mark.parametrize(("init", "deviation"), [("kaiming", math.sqrt(2 / 300)), ("xavier", 2 / math.sqrt(700))])
def test_deviation_follows_the_fans(settings, init, deviation):
    layer = nn.Linear(300, 400)
    init_weights(layer, settings("cells_demo", **{"model.init": init}).model)
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert (layer.bias == 0).all()
