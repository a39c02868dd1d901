"""ImageNet weights of the ResNet family, from torch hub's cache or fetched into it."""

import pickle
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor, nn

from tropho.errors import OutsideError

_CONNECT_SECONDS = 10.0


def load_imagenet(body: nn.Module, name: str) -> None:
    """Load torchvision's newest weights into a network that still has ImageNet's 1000 classes.

    Raises:
        OutsideError: they can't be fetched, or the file is damaged or another network's; says what to do.
    """
    weights = imagenet_weights(name)
    try:
        body.load_state_dict(weights)  # strict: weights of another network must not pass in part
    except RuntimeError as error:
        raise OutsideError(
            f"The ImageNet weights in {_file(name)} are not those of {name}; delete the file."
        ) from error


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's newest ImageNet weights of a ResNet; raises as `load_imagenet` does."""
    url, file = _url(name), _file(name)
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


def _url(name: str) -> str:
    url: str = torchvision.models.get_model_weights(name).DEFAULT.url
    return url


def _file(name: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(_url(name)).path).name


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    # torch.hub opens its connection without a timeout, and a silent network would hold the stage for minutes.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
