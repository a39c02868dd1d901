"""Tests of the drawn network: shapes and parameters, which add up to the network's."""

import numpy as np
import pytest

from tropho.report.network import trace
from tropho.tasks import build_task


@pytest.mark.parametrize(
    ("task", "model", "names"),
    [
        ("cells_demo", {"model.name": "resnet"}, ["normalize", "body.conv1", "body.layer4", "body.fc"]),
        ("cells_demo", {"model.name": "lenet"}, ["features.0", "features.4", "dense.1", "dense.6"]),
        ("cells_demo", {"model.name": "mlp"}, ["layers.1", "layers.9"]),
        ("smear_demo", {"model.fpn_channels": 32}, ["pyramid.body.layer1", "pyramid.outputs.5", "head.class_logits"]),
        ("smear_demo", {"model.name": "torchvision_retinanet"}, ["pyramid.body.layer1"]),
    ],
)
def test_layers_are_in_order_and_their_parameters_add_up(settings, task, model, names):
    built = build_task(settings(task, **{"augment.image_size": 64, **model}), ["a", "b"])
    batch = built.collate([built.sample(np.zeros((64, 64, 3), np.uint8))])
    layers = trace(built, batch)
    listed = [layer.name for layer in layers]
    assert [name for name in listed if name in names] == names
    total = sum(parameter.numel() for parameter in built.build_model().parameters())
    assert sum(layer.parameters for layer in layers) == total
    assert all(layer.shapes for layer in layers)


def test_shapes_are_without_the_batch(settings):
    built = build_task(settings("cells_demo", **{"augment.image_size": 64}), ["a", "b", "c"])
    batch = built.collate([built.sample(np.zeros((64, 64, 3), np.uint8))])
    shapes = {layer.name: layer.shapes for layer in trace(built, batch)}
    assert shapes["body.conv1"] == [(64, 32, 32)]
    assert shapes["body.layer4"] == [(512, 2, 2)]
    assert shapes["body.fc"] == [(3,)]
