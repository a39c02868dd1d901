import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

from tropho.config.model_config import BACKBONES
from tropho.models import build_model
from tropho.models.backbone import feature_channels, stage_of
from tropho.models.classifier import negative_loss
from tropho.models.layers import MEAN, STD, Normalize


def images(count: int, size: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def test_normalize_is_imagenets():
    pixels = images(2)
    expected = transforms.normalize(pixels / 255, list(MEAN), list(STD))
    torch.testing.assert_close(Normalize()(pixels), expected, rtol=1e-5, atol=1e-5)


def test_normalize_leaves_its_input_alone():
    pixels = torch.rand(1, 3, 4, 4)
    before = pixels.clone()
    Normalize()(pixels)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_classifies(name, settings):
    model = settings("cells_demo", **{"model.backbone": name}).model
    with torch.device("meta"):
        network = build_model(model, "classification", 5, 64)
        logits = network(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert logits.shape == (2, 5)
    channels = feature_channels(network.body)
    assert channels == [channels[0] * factor for factor in (1, 2, 4, 8)]
    assert network.state_dict()["body.fc.1.weight"].shape == (5, channels[3])


def test_dropout_stands_before_the_last_layer(settings):
    network = build_model(settings("cells_demo", **{"model.dropout": 0.5}).model, "classification", 2, 64)
    pixels = images(2)
    torch.manual_seed(0)
    network.body.requires_grad_(False)
    network.eval()
    assert torch.equal(network(pixels), network(pixels))
    network.body.fc.train()
    assert not torch.equal(network(pixels), network(pixels))


@pytest.mark.parametrize("norm", ["batch", "group", "frozen"])
def test_overfits_one_batch(settings, norm):
    torch.manual_seed(0)
    network = build_model(settings("cells_demo", **{"model.norm": norm}).model, "classification", 2, 64)
    pixels, labels = images(4, size=32), torch.tensor([0, 1, 1, 0])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-4, fused=True)
    for _ in range(10):
        loss = functional.cross_entropy(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3


def test_weights_go_through_safetensors(settings, tmp_path):
    model = settings("cells_demo").model
    first = build_model(model, "classification", 3, 64).eval()
    save_file(first.state_dict(), tmp_path / "weights.safetensors")
    second = build_model(model, "classification", 3, 64).eval()
    second.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    pixels = images(1)
    assert torch.equal(first(pixels), second(pixels))


def test_seed_repeats_the_initial_weights(settings):
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_model(settings("cells_demo").model, "classification", 2, 64).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_presence_is_learned_and_comes_without_boxes(settings):
    torch.manual_seed(0)
    network = build_model(settings("smear_demo", **{"model.name": "negative_classifier"}).model, "detection", 2, 64)
    pixels, ignore = images(4, size=32), torch.tensor([False, True])
    targets = [
        {"boxes": torch.zeros(row % 2, 4), "labels": torch.zeros(row % 2, dtype=torch.int64)} for row in range(4)
    ]
    targets[3] |= {"labels": torch.tensor([1]), "ignore": ignore}  # its one box is of a class that it ignores
    optimizer = torch.optim.AdamW(network.parameters(), 3e-4, fused=True)
    for _ in range(10):
        losses = network(pixels, targets)
        optimizer.zero_grad()
        losses["loss_cls"].backward()
        optimizer.step()
    assert list(losses) == ["loss_cls"]
    assert losses["loss_cls"] < 0.3
    found = network.eval()(pixels)
    assert [[len(each[name]) for name in ("boxes", "scores", "labels")] for each in found] == [[0, 0, 0]] * 4
    assert all(0 < each["presence"] < 1 for each in found)


def test_the_backbone_of_a_presence_classifier_can_be_frozen(settings):
    network = build_model(settings("smear_demo", **{"model.name": "negative_classifier"}).model, "detection", 2, 64)
    heads = [name for name, _ in network.named_parameters() if stage_of(name) is None]
    assert heads == ["network.body.fc.1.weight", "network.body.fc.1.bias"]


def test_an_image_without_boxes_that_ignores_a_class_may_show_something():
    ignore = torch.tensor([False, True])
    unsure = {"boxes": torch.zeros(0, 4), "ignore": ignore}
    full = {"boxes": torch.tensor([[0.0, 0, 4, 4]]), "ignore": ignore}
    bare = {"boxes": torch.zeros(0, 4), "ignore": torch.zeros(2, dtype=torch.bool)}
    logits = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    loss = negative_loss(logits, [unsure, full, bare])
    loss.backward()
    torch.testing.assert_close(loss, torch.tensor([2.0, 3.0]).exp().log1p().mean())
    assert logits.grad[0] == 0
    assert (logits.grad[1:] != 0).all()
    assert negative_loss(logits, [unsure] * 3) == 0
