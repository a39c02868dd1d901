"""Where in an image a classifier finds its answer: Grad-CAM (Selvaraju et al. 2017), by the grad-cam library."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tropho.metrics.threshold_sweep import Floats


def last_spatial_layer(model: nn.Module, images: Tensor) -> nn.Module | None:
    """The last layer, in the order in which a network runs, whose output (B, C, h, w) still has places.

    Only what comes from a convolution counts; None for a network without one, such as an MLP.
    """
    found: list[nn.Module] = []
    convolved = False

    def look(layer: nn.Module, _: Any, output: Any) -> None:
        nonlocal convolved
        convolved = convolved or isinstance(layer, nn.Conv2d)
        if convolved and isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            found.append(layer)

    hooks = [layer.register_forward_hook(look) for layer in model.modules()]
    try:
        with torch.no_grad():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return found[-1] if found else None


def class_maps(model: nn.Module, images: Tensor, classes: list[int]) -> Floats | None:
    """How much each place speaks for a class, 0 to 1 in each image.

    Args:
        model: in evaluation mode; logits of images.
        images: (B, 3, H, W) uint8, on any device.
        classes: B numbers, whose maps are wanted.

    Returns:
        (B, H, W); None where the network has no layer with places.

    Raises:
        ImportError: grad-cam is not installed.
    """
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    images = images.to(next(model.parameters()).device)
    layer = last_spatial_layer(model, images)
    if layer is None:
        return None
    with GradCAM(model=model, target_layers=[layer]) as camera:
        maps = camera(input_tensor=images, targets=[ClassifierOutputTarget(number) for number in classes])
    model.zero_grad(set_to_none=True)
    return np.asarray(maps, np.float64)
