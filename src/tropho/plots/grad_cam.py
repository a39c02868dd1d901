"""Grad-CAM (Selvaraju et al. 2017) of classifiers, by the grad-cam library, and sheets of its maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tropho.boxes.box_ops import Floats
from tropho.images import draw
from tropho.plots.galleries import Row, Tile, class_caption, evenly_spaced, write_sheet

TILE = 150  # pixels wide, one picture
GAP = 3  # pixels
SHEET = 1100  # pixels wide


def last_spatial_layer(model: nn.Module, images: Tensor) -> nn.Module | None:
    """Find the last layer, from the first convolution on, whose output (B, C, h, w) has more than one position.

    Returns:
        The layer; None for a network without one, such as an MLP.
    """
    layers: list[nn.Module] = []
    convolved = False

    def inspect(layer: nn.Module, _: Any, output: Any) -> None:
        nonlocal convolved
        convolved = convolved or isinstance(layer, nn.Conv2d)
        if convolved and isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            layers.append(layer)

    hooks = [layer.register_forward_hook(inspect) for layer in model.modules()]
    try:
        with torch.no_grad():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return layers[-1] if layers else None


def class_maps(model: nn.Module, images: Tensor, classes: list[int]) -> Floats | None:
    """Compute how much each position speaks for a class.

    Args:
        model: logits of images, in evaluation mode.
        images: (B, 3, H, W) uint8, on any device.
        classes: B class numbers, one an image.

    Returns:
        (B, H, W) float64 in 0..1; None if the network has no layer with positions.

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


def pick_examples(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Pick the most confident wrong predictions and evenly spaced right ones, at most `most` of each."""
    ranked = table.sort_values("confidence", ascending=False, kind="stable")
    right = (ranked["label"] == ranked["label_true"]).to_numpy(bool)
    return pd.concat([ranked[~right].head(most), evenly_spaced(ranked[right], most)])


def plot_grad_cam(model: nn.Module, table: pd.DataFrame, samples: Tensor, classes: Sequence[str], folder: Path) -> bool:
    """Write gradcam_wrong.png and gradcam_right.png: each image, its map for the predicted and for the true class.

    Args:
        model: a classifier.
        table: columns image_id, label (predicted), label_true, confidence; one row a sample.
        samples: (N, 3, H, W) uint8, the model's input.
        classes: in the order of their numbers.
        folder: of the PNG files.

    Returns:
        Whether the model has a layer to read maps from.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    predicted, true = (
        class_maps(model, samples, [numbers[label] for label in table[key]]) for key in ("label", "label_true")
    )
    if predicted is None or true is None:
        return False
    table = table.assign(position=range(len(table)))
    images = samples.permute(0, 2, 3, 1).numpy()  # (N, H, W, 3)
    right = (table["label"] == table["label_true"]).to_numpy(bool)

    def tile(row: Row) -> Tile:
        i = row["position"]
        return _tile(images[i], [predicted[i]] if right[i] else [predicted[i], true[i]]), class_caption(row)

    wrong_title = "Wrong: the image, and what speaks for the predicted and for the true class"
    for name, rows, title in (
        ("gradcam_wrong", table[~right], wrong_title),
        ("gradcam_right", table[right], "Right: the image, and what speaks for its class"),
    ):
        n_pictures = 2 if name == "gradcam_right" else 3
        width = n_pictures * TILE + (n_pictures - 1) * GAP
        write_sheet(rows, tile, folder / f"{name}.png", SHEET // width, width, title)
    return True


def _tile(image: np.ndarray, maps: Sequence[np.ndarray]) -> np.ndarray:
    """Put the image (h, w, 3) and, to its right, the image under each map (h, w) side by side."""
    pictures = [draw.enlarged(part, TILE)[0] for part in (image, *(overlay(image, heat) for heat in maps))]
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a map's colours over the grey image, half and half.

    Args:
        image: (h, w, 3) uint8 RGB.
        heat: (h, w) in 0..1.

    Returns: (h, w, 3) uint8 RGB.
    """
    colours = cv2.applyColorMap((heat * 255).round().clip(0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2)  # (h, w, 3)
    return (0.5 * grey + 0.5 * colours).round().astype(np.uint8)
