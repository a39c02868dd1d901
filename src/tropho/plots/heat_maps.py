"""Sheets of images beside the places that speak for a class."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch import nn

from tropho.images import draw
from tropho.plots import galleries
from tropho.plots.grad_cam import class_maps

TILE = 150  # pixels wide, one picture of a tile
GAP = 3


def heat_map_sheets(
    model: nn.Module, table: pd.DataFrame, samples: torch.Tensor, classes: Sequence[str], to: Path
) -> bool:
    """Write gradcam_wrong and gradcam_right: each image, and its map for the predicted and, if wrong, the true class.

    Args:
        model: a classifier.
        table: columns image_id, label (predicted), label_true, confidence; one row a sample.
        samples: (N, 3, H, W) uint8, what the model is shown.
        classes: in the order of their numbers.
        to: folder of the PNG files.

    Returns:
        Whether the model has a layer to read maps from.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    predicted = class_maps(model, samples, [numbers[each] for each in table["label"]])
    true = class_maps(model, samples, [numbers[each] for each in table["label_true"]])
    if predicted is None or true is None:
        return False
    pictures = samples.permute(0, 2, 3, 1).numpy()
    right = (table["label"] == table["label_true"]).to_numpy(bool)
    for name, rows, title in (
        (
            "gradcam_wrong",
            np.flatnonzero(~right),
            "Wrong: the image, what speaks for the predicted and for the true class",
        ),
        ("gradcam_right", np.flatnonzero(right), "Right: the image, and what speaks for its class"),
    ):
        tiles, captions = [], []
        for row in rows:
            maps = [predicted[row]] if right[row] else [predicted[row], true[row]]
            tiles.append(_tile(pictures[row], maps))
            each = table.iloc[row]
            told = f"{each['label']} {each['confidence']:.2f}"
            captions.append(told if right[row] else f"{told}, is {each['label_true']}")
        if tiles:
            width = tiles[0].shape[1]
            sheet = draw.contact_sheet(tiles, captions, max(1, 1100 // width), width, title, ())
            draw.write_png(to / f"{name}.png", sheet)
    return True


def examples(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """The most confident wrong predictions and right ones from sure to unsure, at most `most` of each."""
    ranked = table.sort_values("confidence", ascending=False, kind="stable")
    right = (ranked["label"] == ranked["label_true"]).to_numpy(bool)
    return pd.concat([ranked[~right].head(most), galleries.spread(ranked[right], most)])


def _tile(image: np.ndarray, maps: Sequence[np.ndarray]) -> np.ndarray:
    """The image (h, w, 3) and, to its right, the image under each map (h, w)."""
    pictures = [draw.enlarged(each, TILE)[0] for each in (image, *(_overlay(image, each) for each in maps))]
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


def _overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image in grey under the map's colours, which are the stronger the higher the map."""
    colours = cv2.applyColorMap((heat * 255).round().clip(0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2)
    return (0.5 * grey + 0.5 * colours).round().astype(np.uint8)
