"""torchvision's ResNet family by name, with a choice of norm layer, from scratch or with ImageNet weights."""

import difflib
import math
import pickle
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from tropho.errors import OutsideError, UsageError

Norm = Literal["batch", "group", "frozen"]

GROUPS = 32
"""Groups of a group norm (Wu and He, 2018)."""

_CONNECT_SECONDS = 10.0


def backbone_names() -> list[str]:
    """Every name that `resnet` accepts."""
    names = torchvision.models.list_models(module=torchvision.models)
    return sorted(
        name for name in names if torchvision.models.get_model_builder(name).__module__ == ResNet.__module__
    )


def group_norm(channels: int) -> nn.GroupNorm:
    """A group norm with 32 groups, or as many as divide `channels`."""
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def resnet(name: str, norm: Norm, pretrained: bool) -> ResNet:
    """A ResNet whose `fc` is the identity; its last features are (B, C, H/32, W/32), C = feature_channels.

    Convolutions start by Kaiming's initialisation (fan out, ReLU). `pretrained` loads torchvision's newest
    ImageNet weights.

    Raises:
        UsageError: an unknown name, or group norm with weights that were learned with batch norm.
        OutsideError: the weights are neither in the cache nor can be fetched.
    """
    known = backbone_names()
    if name not in known:
        # resnext50 means resnext50_32x4d, though resnet50 is fewer letters away.
        close = [each for each in known if each.startswith(name)] or difflib.get_close_matches(
            name, known, 1, 0.5
        )
        hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}."
        raise UsageError(f"model.backbone: there is no '{name}'; {hint}")
    if pretrained and norm == "group":
        raise UsageError(
            "model.norm 'group' can't use ImageNet weights, which were learned with batch norm; "
            "set norm to batch or frozen, or pretrained to false."
        )
    body: ResNet = torchvision.models.get_model(name, weights=None, norm_layer=_norm_layer(norm))
    if pretrained:
        _load_imagenet(body, name)
    elif norm == "frozen":
        _keep_variance(body)
    body.fc = nn.Identity()
    return body


def feature_channels(body: ResNet) -> list[int]:
    """Channels of the four stages' outputs C2, C3, C4, C5 (strides 4, 8, 16, 32)."""
    stages = (body.layer1, body.layer2, body.layer3, body.layer4)
    return [_last_conv(stage[-1]).out_channels for stage in stages]


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's newest ImageNet weights of a ResNet, from torch hub's cache or fetched into it.

    Raises:
        OutsideError: they can't be fetched, or the file is damaged; says where to place it.
    """
    url, file = _weights_url(name), _weights_file(name)
    try:
        with _socket_timeout(_CONNECT_SECONDS):
            state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
                url,
                str(file.parent),
                map_location="cpu",
                progress=sys.stderr.isatty(),
                check_hash=True,
                weights_only=True,
            )
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise OutsideError(
            f"The ImageNet weights in {file} are damaged ({reason}); delete the file and fetch {url} again."
        ) from error
    except (OSError, HTTPException) as error:
        raise OutsideError(
            f"The ImageNet weights of {name} can't be fetched ({error}); place {url} at {file}, "
            "or set model.pretrained to false."
        ) from error
    return state


def _load_imagenet(body: ResNet, name: str) -> None:
    try:
        # Strict, and with the 1000 classes still in place: weights of another network must not pass in part.
        body.load_state_dict(imagenet_weights(name))
    except RuntimeError as error:
        raise OutsideError(
            f"The ImageNet weights in {_weights_file(name)} are not those of {name}; delete the file."
        ) from error


def _weights_url(name: str) -> str:
    url: str = torchvision.models.get_model_weights(name).DEFAULT.url
    return url


def _weights_file(name: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(_weights_url(name)).path).name


def _norm_layer(norm: Norm) -> Callable[[int], nn.Module]:
    match norm:
        case "batch":
            return nn.BatchNorm2d
        case "group":
            return group_norm
        case "frozen":
            return FrozenBatchNorm2d


def _keep_variance(body: ResNet) -> None:
    """Scale residual branches by 1/sqrt(blocks): without statistics nothing else bounds their sum."""
    blocks = [module for module in body.modules() if isinstance(module, BasicBlock | Bottleneck)]
    for block in blocks:
        last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
        last.weight.fill_(len(blocks) ** -0.5)


def _last_conv(block: nn.Module) -> nn.Conv2d:
    conv = block.conv3 if isinstance(block, Bottleneck) else block.conv2
    assert isinstance(conv, nn.Conv2d)
    return conv


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    # torch.hub opens its connection without a timeout, and a silent network would hold the stage for minutes.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
