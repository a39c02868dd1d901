import re
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from tropho.errors import OutsideError, UsageError
from tropho.models.backbones import backbone_names, imagenet_weights, resnet


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torch hub, whose downloads fail as they do without a network."""

    def unreachable(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    return tmp_path / "checkpoints"


def place(hub: Path, name: str, state: object) -> None:
    hub.mkdir(parents=True, exist_ok=True)
    torch.save(state, hub / torchvision.models.get_model_weights(name).DEFAULT.url.rpartition("/")[2])


def test_the_whole_family_is_there():
    assert set(backbone_names()) >= {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    assert {"resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"} <= set(backbone_names())
    assert {"wide_resnet50_2", "wide_resnet101_2"} <= set(backbone_names())


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("resnet19", "resnet18"), ("resnext50", "resnext50_32x4d"), ("wide_resnet50", "wide_resnet50_2")],
)
def test_unknown_name_is_refused_with_the_nearest(wrong, nearest):
    with pytest.raises(UsageError, match=f"'{wrong}'; did you mean '{nearest}'"):
        resnet(wrong, "batch", pretrained=False)


@pytest.mark.parametrize(
    ("norm", "kind", "trainable"),
    [("batch", nn.BatchNorm2d, True), ("group", nn.GroupNorm, True), ("frozen", FrozenBatchNorm2d, False)],
)
def test_norm_layers(norm, kind, trainable):
    body = resnet("resnet18", norm, pretrained=False)
    norms = [
        module
        for module in body.modules()
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm | FrozenBatchNorm2d)
    ]
    assert len(norms) == 20
    assert {type(each) for each in norms} == {kind}
    assert any("bn1" in name for name, _ in body.named_parameters()) == trainable


def test_frozen_norms_keep_activations_bounded_from_scratch():
    torch.manual_seed(0)
    body = resnet("resnet50", "frozen", pretrained=False).eval()
    with torch.no_grad():
        features = body(torch.randn(2, 3, 64, 64))
    assert 0.01 < features.std() < 10


def test_missing_weights_say_where_to_place_them(hub):
    with pytest.raises(OutsideError, match=re.escape(str(hub / "resnet18-"))) as caught:
        resnet("resnet18", "batch", pretrained=True)
    assert caught.value.exit_code == 3
    assert "model.pretrained to false" in str(caught.value)


def test_damaged_weights_are_named(hub):
    hub.mkdir()
    file = hub / torchvision.models.get_model_weights("resnet18").DEFAULT.url.rpartition("/")[2]
    file.write_bytes(b"<html>503</html>")
    with pytest.raises(OutsideError, match=f"{re.escape(str(file))}.*delete"):
        imagenet_weights("resnet18")


def test_weights_of_another_network_are_refused(hub):
    place(hub, "resnet18", {"conv1.weight": torch.zeros(64, 3, 7, 7)})
    with pytest.raises(OutsideError, match="not those of resnet18"):
        resnet("resnet18", "batch", pretrained=True)


def test_pickled_code_in_weights_is_not_run(hub, tmp_path):
    class Planted:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    place(hub, "resnet18", Planted())
    with pytest.raises(OutsideError):
        imagenet_weights("resnet18")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_placed_weights_are_loaded(hub, norm):
    torch.manual_seed(1)
    published = torchvision.models.resnet18().eval()
    place(hub, "resnet18", published.state_dict())
    body = resnet("resnet18", norm, pretrained=True).eval()
    published.fc = nn.Identity()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(body(images), published(images), rtol=1e-4, atol=1e-5)


def test_group_norm_refuses_imagenet_weights(hub):
    with pytest.raises(UsageError, match=r"model\.norm"):
        resnet("resnet18", "group", pretrained=True)
