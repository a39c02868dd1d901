import re
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import ResNet
from torchvision.ops import FrozenBatchNorm2d

from tropho.config.model_config import BACKBONES
from tropho.errors import ExternalError, UsageError
from tropho.models.backbone import PlainBlock, resnet, stages
from tropho.models.weights import fetch_weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torch hub, whose downloads fail as they do without a network."""

    def unreachable(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    return tmp_path / "checkpoints"


@pytest.fixture
def build(settings):
    """build(name, **dotted overrides of model) -> a ResNet, seeded."""

    def make(name: str = "resnet18", model: str = "resnet", **changes):
        torch.manual_seed(0)
        overrides = {f"model.{key}": value for key, value in changes.items()}
        return resnet(settings("cells_demo", **{"model.backbone": name, "model.name": model}, **overrides).model)

    return make


def place(hub: Path, name: str, state: object) -> None:
    hub.mkdir(parents=True, exist_ok=True)
    torch.save(state, hub / torchvision.models.get_model_weights(name).DEFAULT.url.rpartition("/")[2])


def test_the_whole_family_is_there():
    builders = {name: torchvision.models.get_model_builder(name) for name in torchvision.models.list_models()}
    assert set(BACKBONES) == {name for name, each in builders.items() if each.__module__ == ResNet.__module__}


@pytest.mark.parametrize(
    ("norm", "kind", "count"),
    [
        ("batch", nn.BatchNorm2d, 20),
        ("layer", nn.GroupNorm, 20),
        ("group", nn.GroupNorm, 20),
        ("frozen", FrozenBatchNorm2d, 20),
        ("none", nn.BatchNorm2d, 0),
    ],
)
def test_norm_layers(build, norm, kind, count):
    body = build(norm=norm)
    kinds = nn.BatchNorm2d | nn.GroupNorm | FrozenBatchNorm2d
    norms = [module for module in body.modules() if isinstance(module, kinds)]
    assert len(norms) == count
    assert all(type(each) is kind for each in norms)
    assert any("bn1" in name for name, _ in body.named_parameters()) == (norm in ("batch", "layer", "group"))


@pytest.mark.parametrize("norm", ["frozen", "none"])
def test_without_statistics_activations_stay_bounded_from_scratch(build, norm):
    body = build("resnet50", norm=norm).eval()
    with torch.no_grad():
        features = body(torch.randn(2, 3, 64, 64))
    assert 0.01 < features.std() < 10


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_plain_twin_has_the_same_depth_and_no_shortcut(build, name):
    twin, net = build(name, residual=False), build(name)
    blocks = [block for stage in stages(twin) for block in stage]
    assert all(isinstance(block, PlainBlock) for block in blocks)

    def main_branch(body: nn.Module) -> int:
        return sum(isinstance(each, nn.Conv2d) for each in body.modules())

    shortcuts = sum("downsample.0" in key and key.endswith("weight") for key in net.state_dict())
    assert main_branch(twin) == main_branch(net) - shortcuts
    images = torch.randn(2, 3, 64, 64)
    assert twin(images).shape == net(images).shape
    with torch.no_grad():  # a block whose branch is silent passes nothing on without a shortcut
        for block, zero in ((net.layer1[1], True), (twin.layer1[1], False)):
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                    layer.weight.zero_()
            width = next(each for each in block.modules() if isinstance(each, nn.Conv2d)).in_channels
            assert (block(torch.ones(1, width, 4, 4)).abs().sum() > 0) == zero


@pytest.mark.parametrize(
    ("name", "kind"), [("sigmoid", nn.Sigmoid), ("tanh", nn.Tanh), ("leaky_relu", nn.LeakyReLU), ("selu", nn.SELU)]
)
def test_activation_replaces_every_relu(build, name, kind):
    body = build(activation=name)
    assert not any(isinstance(each, nn.ReLU) for each in body.modules())
    assert sum(isinstance(each, kind) for each in body.modules()) == 9


def test_missing_weights_say_where_to_place_them(build, hub):
    with pytest.raises(ExternalError, match=re.escape(str(hub / "resnet18-"))) as caught:
        build(pretrained=True)
    assert caught.value.exit_code == 3
    assert "model.pretrained to false" in str(caught.value)


def test_damaged_weights_are_named(hub):
    hub.mkdir()
    file = hub / torchvision.models.get_model_weights("resnet18").DEFAULT.url.rpartition("/")[2]
    file.write_bytes(b"<html>503</html>")
    with pytest.raises(ExternalError, match=f"{re.escape(str(file))}.*delete"):
        fetch_weights("resnet18", "ImageNet")


def test_weights_of_another_network_are_refused(build, hub):
    place(hub, "resnet18", {"conv1.weight": torch.zeros(64, 3, 7, 7)})
    with pytest.raises(ExternalError, match="not those of resnet18"):
        build(pretrained=True)


def test_pickled_code_in_weights_is_not_run(hub, tmp_path):
    class Planted:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    place(hub, "resnet18", Planted())
    with pytest.raises(ExternalError):
        fetch_weights("resnet18", "ImageNet")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_placed_weights_are_loaded(build, hub, norm):
    torch.manual_seed(1)
    published = torchvision.models.resnet18().eval()
    place(hub, "resnet18", published.state_dict())
    body = build(norm=norm, pretrained=True).eval()
    published.fc = nn.Identity()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(body(images), published(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "group"},
        {"norm": "none"},
        {"residual": False},
        {"activation": "selu"},
        {"model": "lenet"},
        {"model": "mlp"},
    ],
)
def test_settings_that_imagenet_weights_do_not_fit(build, changes):
    with pytest.raises(UsageError, match="pretrained"):
        build(pretrained=True, **changes)
