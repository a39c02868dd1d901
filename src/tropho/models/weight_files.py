"""Published weights, from torch hub's cache or fetched into it."""

import pickle
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor

from tropho.errors import ExternalError

_CONNECT_SECONDS = 10.0


def fetch_weights(url: str, what: str) -> dict[str, Tensor]:
    """The state dict at an address whose file name holds its hash, as torchvision's do.

    Args:
        url: of the file.
        what: the weights in words, such as "ImageNet weights of resnet18".

    Raises:
        ExternalError: they can't be fetched, or the file is damaged; says what to do.
    """
    file = weights_file(url)
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
        raise ExternalError(
            f"The {what} in {file} are damaged ({reason}); delete the file and fetch {url} again."
        ) from error
    except (OSError, HTTPException) as error:
        raise ExternalError(
            f"The {what} can't be fetched ({error}); place {url} at {file}, or set model.pretrained to false."
        ) from error
    return state


def weights_file(url: str) -> Path:
    """Where torch hub keeps the file of that address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    # torch.hub opens its connection without a timeout, and a silent network would hold the stage for minutes.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
