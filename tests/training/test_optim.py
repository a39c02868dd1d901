import torch
from torch import nn

from tropho.training.optim import build_optimizer, param_groups


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4, 2))


def test_param_groups_spare_biases_and_norms():
    decayed, spared = param_groups(network(), 0.1)
    assert [tuple(each.shape) for each in decayed["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert all(each.ndim == 1 for each in spared["params"])
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_param_groups_hold_every_trainable_parameter_once():
    model = network()
    model[0].weight.requires_grad_(requires_grad=False)
    groups = param_groups(model, 0.1)
    found = [id(each) for group in groups for each in group["params"]]
    assert sorted(found) == sorted(id(each) for each in model.parameters() if each.requires_grad)


def test_build_optimizer_decays_weights_only(settings):
    model = network()
    before = {name: value.clone() for name, value in model.named_parameters()}
    train = settings("cells_demo", **{"train.lr": 0.1, "train.weight_decay": 0.5}).train
    optimizer = build_optimizer(model, train)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if value.ndim >= 2 else 1.0
        torch.testing.assert_close(value, before[name] * factor, rtol=1e-6, atol=0)


def test_build_optimizer_sets_momentum(settings):
    train = settings("cells_demo", **{"train.optimizer": "sgd", "train.momentum": 0.7}).train
    optimizer = build_optimizer(network(), train)
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.7}
