"""A frozen backbone stays as it is, to the bit, and learns again afterwards; lower stages learn more slowly."""

import pytest
import torch
from torch import nn

from tropho.models.backbone import stage_of
from tropho.tasks import build_task
from tropho.training.checkpoint import Checkpoint
from tropho.training.loop import Trainer
from tropho.training.optim import param_groups, set_backbone_frozen

SMALL = {"augment.image_size": 32, "augment.policy": "none", "train.batch_size": 4, "train.epochs": 3}


def train(settings, data, checkpoint=None, on_epoch=lambda row: None, **changes):
    pack, truth = data
    made = settings("cells_demo", **{**SMALL, **changes})
    return Trainer(build_task(made, ["a", "b"]), pack, truth, truth, 0, checkpoint, on_epoch).fit()


def backbone(weights):
    return {name: value for name, value in weights.items() if stage_of(name) is not None}


def test_stage_of_names() -> None:
    names = {"body.conv1.weight": 0, "pyramid.body.layer1.0.bn1.bias": 1, "body.layer4.": 4, "body.fc.1.weight": None}
    names |= {"network.model.backbone.model.encoder.stages.3.layers.0.weight": 4}
    names |= {"network.model.backbone.model.embedder.x.weight": 0, "network.model.backbone.projector.x.weight": None}
    names |= {"network.model.backbone.backbone.embeddings.cls_token": 0, "network.model.encoder.layers.0.weight": None}
    names |= {"network.model.backbone.backbone.encoder.layer.1.mlp.fc1.weight": 4}
    assert {name: stage_of(name) for name in names} == names


def test_fit_leaves_a_frozen_backbone_as_it_is(settings, data) -> None:
    untouched = train(settings, data, **{"train.epochs": 1, "train.freeze_backbone_epochs": 1, "train.lr": 1e-9})
    frozen = train(settings, data, **{"train.epochs": 2, "train.freeze_backbone_epochs": 2, "train.lr": 0.01})
    torch.testing.assert_close(backbone(frozen.weights), backbone(untouched.weights), rtol=0, atol=0)
    assert not torch.equal(frozen.weights["body.fc.1.weight"], untouched.weights["body.fc.1.weight"])
    freed = train(settings, data, **{"train.freeze_backbone_epochs": 1, "train.lr": 0.01, "train.val_interval": 3})
    assert not torch.equal(freed.weights["body.conv1.weight"], untouched.weights["body.conv1.weight"])
    assert freed.weights["body.bn1.num_batches_tracked"] == 4  # two epochs of two steps


def test_fit_resumes_while_frozen(settings, data, tmp_path) -> None:
    class Killed(Exception):
        pass

    def kill(row) -> None:
        if row["epoch"] == 1:
            raise Killed

    changes = {"train.freeze_backbone_epochs": 2, "train.lr": 0.01, "train.layer_decay": 0.5, "train.val_interval": 3}
    whole = train(settings, data, **changes)
    with pytest.raises(Killed):
        train(settings, data, Checkpoint(tmp_path / "fold"), kill, **changes)
    resumed = train(settings, data, Checkpoint(tmp_path / "fold"), **changes)
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)


def test_param_groups_scale_lower_stages(settings) -> None:
    model = build_task(settings("cells_demo"), ["a", "b"]).build_model()
    groups = param_groups(model, 0.1, layer_decay=0.5)
    shares = {id(each): group["lr_scale"] for group in groups for each in group["params"]}
    assert len(shares) == len(list(model.parameters()))
    found = {stage_of(name): shares[id(each)] for name, each in model.named_parameters()}
    assert found == {None: 1.0, 4: 0.5, 3: 0.25, 2: 0.125, 1: 0.0625, 0: 0.03125}
    tenth = {group["lr_scale"] for group in param_groups(model, 0.1, backbone_lr_scale=0.1)}
    assert tenth == {1.0, 0.1}
    assert {(group["lr_scale"], group["weight_decay"]) for group in param_groups(model, 0.1)} == {(1, 0.1), (1, 0.0)}


def test_fit_scales_the_rate_of_each_group(settings, data) -> None:
    """One step of plain SGD moves a weight by rate times gradient, so that steps compare as shares do."""
    plain = {"train.epochs": 1, "train.optimizer": "sgd", "train.momentum": 0.0, "train.weight_decay": 0.0}
    plain |= {
        "train.batch_size": 8,
        "train.schedule": "constant",
        "train.warmup_epochs": 0.0,
        "train.clip_grad_norm": None,
    }
    start = train(settings, data, **plain, **{"train.lr": 1e-12}).weights["body.layer3.0.conv1.weight"]
    moves = [
        train(settings, data, **plain, **{"train.lr": 1e-2, "train.layer_decay": share}).weights[
            "body.layer3.0.conv1.weight"
        ]
        - start
        for share in (1.0, 0.5)
    ]
    torch.testing.assert_close(moves[1], moves[0] / 4, rtol=1e-3, atol=1e-8)


def test_set_backbone_frozen_without_a_backbone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    set_backbone_frozen(model, True)
    assert model[1].training
    assert all(each.requires_grad for each in model.parameters())


def test_set_backbone_frozen_freezes_norms() -> None:
    model = nn.Module()
    model.body = nn.Sequential()
    model.body.add_module("bn1", nn.BatchNorm2d(2))
    model.top = nn.BatchNorm2d(2)
    for parameter in model.parameters():
        parameter.grad = torch.ones(2)
    set_backbone_frozen(model.train(), True)
    assert [model.body.bn1.training, model.top.training] == [False, True]
    assert [model.body.bn1.weight.requires_grad, model.top.weight.requires_grad] == [False, True]
    assert model.body.bn1.weight.grad is None
    assert model.top.weight.grad is not None
    model.body.bn1.weight.grad = torch.ones(2)
    set_backbone_frozen(model.train(), False)
    assert [model.body.bn1.training, model.top.training] == [True, True]
    assert model.body.bn1.weight.requires_grad
    assert model.body.bn1.weight.grad is not None
