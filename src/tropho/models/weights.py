"""Published weights of torchvision's networks, read from torch hub's cache or downloaded into it."""

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

from tropho.errors import ExternalError

_CONNECT_SECONDS = 10.0


def load_weights(network: nn.Module, name: str, data: str) -> None:
    """Load torchvision's newest weights into a network of the same layers.

    Args:
        network: as torchvision's builder `name` makes it; frozen batch norms may stand for batch norms.
        name: of the builder, such as "resnet18".
        data: what the weights were trained on, for messages: "ImageNet" or "COCO".

    Raises:
        ExternalError: the weights can't be fetched, are damaged, or are another network's.
    """
    # Weights of frozen batch norms lack the counters of batch norms, and need none.
    counters = {key: value for key, value in network.state_dict().items() if key.endswith("num_batches_tracked")}
    weights = fetch_weights(name, data)
    try:
        network.load_state_dict({**counters, **weights})  # strict: another network's weights must not pass in part
    except RuntimeError as error:
        file = _weights_file(_url(name))
        raise ExternalError(f"The {data} weights in {file} are not those of {name}; delete the file.") from error


def fetch_weights(name: str, data: str) -> dict[str, Tensor]:
    """Return the state dict of torchvision's newest weights; arguments and errors as in `load_weights`."""
    url = _url(name)
    file, what = _weights_file(url), f"{data} weights of {name}"
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


def _url(name: str) -> str:
    return str(torchvision.models.get_model_weights(name).DEFAULT.url)


def _weights_file(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    # torch.hub connects without a timeout; a silent network would hold the stage for minutes.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
