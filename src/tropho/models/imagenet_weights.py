"""ImageNet weights of the ResNet family."""

import torchvision
from torch import Tensor, nn

from tropho.errors import ExternalError
from tropho.models.weight_files import fetch_weights, weights_file


def load_imagenet(body: nn.Module, name: str) -> None:
    """Load torchvision's newest weights into a network that still has ImageNet's 1000 classes.

    Raises:
        ExternalError: they can't be fetched, or the file is damaged or another network's; says what to do.
    """
    weights = imagenet_weights(name)
    try:
        body.load_state_dict(weights)  # strict: weights of another network must not pass in part
    except RuntimeError as error:
        file = weights_file(_url(name))
        raise ExternalError(f"The ImageNet weights in {file} are not those of {name}; delete the file.") from error


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's newest ImageNet weights of a ResNet; raises as `load_imagenet` does."""
    return fetch_weights(_url(name), f"ImageNet weights of {name}")


def _url(name: str) -> str:
    url: str = torchvision.models.get_model_weights(name).DEFAULT.url
    return url
