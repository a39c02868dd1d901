import pytest
import torch
from torch import nn
from torch.nn import functional

from tropho.errors import UsageError
from tropho.models import build_model


def images(count: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.fixture
def build(settings):
    """build(**model settings) -> a classifier of three classes for 32 pixels, seeded."""

    def make(**changes):
        torch.manual_seed(0)
        model = settings("cells_demo", **{f"model.{key}": value for key, value in changes.items()}).model
        return build_model(model, "classification", 3, 32)

    return make


@pytest.mark.parametrize("hidden", [[], [8], [32, 16, 8]])
def test_mlp_has_the_hidden_layers_asked_for(build, hidden):
    network = build(name="mlp", hidden_units=hidden)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [3 * 32 * 32, *hidden]
    assert network(images(2)).shape == (2, 3)


@pytest.mark.parametrize("size", [16, 28, 50, 128])
def test_lenet_takes_any_size(build, size):
    assert build(name="lenet")(images(2, size)).shape == (2, 3)


def test_lenet_is_as_published_but_for_the_input(build):
    dense_and_convolutions = sum(each.numel() for each in build(name="lenet", norm="none").parameters())
    grey = 61_706 - (10 - 3) * 85  # LeNet-5 has ten classes
    assert dense_and_convolutions == grey + 2 * 25 * 6


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "selu"])
@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_every_mix_learns_one_batch(build, name, activation, norm):
    network = build(name=name, activation=activation, norm=norm, hidden_units=[64])
    pixels, labels = images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    first = functional.cross_entropy(network(pixels), labels).item()
    for _ in range(30):
        loss = functional.cross_entropy(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # Sigmoids are slow: their gradients shrink by four or more in every layer.
    assert loss.item() < (1.0 if activation == "sigmoid" else 0.7) * first


@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_dropout_acts_in_training_alone(build, name):
    network, pixels = build(name=name, dropout=0.5, norm="none"), images(2)
    assert not torch.equal(network(pixels), network(pixels))
    network.eval()
    assert torch.equal(network(pixels), network(pixels))


@pytest.mark.parametrize("norm", ["group", "frozen"])
def test_norms_of_a_resnet_alone_are_refused(build, norm):
    with pytest.raises(UsageError, match="batch, layer or none"):
        build(name="mlp", norm=norm)


def test_a_course_network_does_not_detect(settings):
    with pytest.raises(UsageError, match="can't do detection"):
        settings("smear_demo", **{"model.name": "lenet"})
