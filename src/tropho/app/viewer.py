"""Predict one uploaded photo and show it; nothing of the file but its pixels is kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.commands.describe_predictions import (
    PICTURE_WIDTH,
    above_thresholds,
    count_boxes,
    density_of,
    describe_class,
    draw_detections,
)
from tropho.commands.load_model import LoadedModel
from tropho.commands.predict_images import predict_file
from tropho.errors import DataError
from tropho.images.cache import resize_as_cached
from tropho.images.decode import read_image
from tropho.images.draw import enlarged
from tropho.tables import BOX

COUNTS = ["class", "boxes"]
"""Columns of the table of counts."""


SMALLEST_WIDTH = 420
"""Pixels that smaller photos are enlarged to."""


@dataclass(frozen=True)
class Photo:
    """A predicted photo.

    Attributes:
        image: (h, w, 3) uint8 RGB, upright, SMALLEST_WIDTH to PICTURE_WIDTH[1] pixels wide.
        table: post-processed predictions, boxes in pixels of `image`.
        heat: (h, w, 3) uint8 RGB, what speaks for the most probable class; None where there is none.
    """

    image: np.ndarray
    table: pd.DataFrame
    heat: np.ndarray | None = None


@dataclass(frozen=True)
class Findings:
    """What is shown of a photo.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        counts: rows of COUNTS; None for classes of images.
        sentence: what was found, in words.
    """

    picture: np.ndarray
    counts: list[list[str | int]] | None
    sentence: str


def without_place(error: DataError, file: Path, name: str) -> str:
    """Return what is wrong with an uploaded photo, by its name instead of its temporary path."""
    return str(error).replace(str(file), name)


def view_photo(model: LoadedModel, file: Path) -> Photo:
    """Predict an image file; raise DataError if it can't be read."""
    table = predict_file(model, file, "photo")
    original = read_image(file, decoding=model.ensemble.decoding)
    image, factor = enlarged(original, int(np.clip(original.shape[1], SMALLEST_WIDTH, PICTURE_WIDTH[1])))
    if model.settings.kind == "detection":
        return Photo(image, table.assign(**{side: table[side] * factor for side in BOX}))
    label = str(table["label"].iloc[0])
    return Photo(image, table, heat_map(model, original, label))


def show_photo(model: LoadedModel, photo: Photo, thresholds: dict[str, float]) -> Findings:
    """Draw a photo with its boxes from the thresholds on, or say its class."""
    classes, settings = model.classes, model.settings
    if settings.kind == "classification":
        row = photo.table.iloc[0].to_dict()
        return Findings(photo.image, None, describe_class(row, classes, thresholds))
    boxes = above_thresholds(photo.table, thresholds)
    counts = count_boxes(boxes, classes)
    density = density_of(counts, settings)
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "Nothing found"
    sentence = f"{found}." if density is None else f"{found}. Estimate: {density}."
    rows: list[list[str | int]] = [[name, count] for name, count in counts.items()]
    return Findings(draw_detections(photo.image, boxes, classes), rows, sentence)


def probabilities(model: LoadedModel, photo: Photo) -> dict[str, float]:
    """Return the probability of each class of a photo."""
    return {name: float(photo.table[f"p_{name}"].iloc[0]) for name in model.classes}


def has_heat_maps(model: LoadedModel) -> bool:
    """Tell whether photos get heat maps: classifiers do that are not exported, where grad-cam is installed."""
    if model.settings.kind != "classification" or not hasattr(model.ensemble.first_fold, "model"):
        return False
    try:
        import pytorch_grad_cam  # noqa: F401
    except ImportError:
        return False
    return True


def heat_map(model: LoadedModel, image: np.ndarray, label: str) -> np.ndarray | None:
    """Draw the Grad-CAM map of the first fold for a class over an image (h, w, 3); None where there is none."""
    if not has_heat_maps(model):
        return None
    from tropho.plots.grad_cam import class_maps, overlay

    fold = model.ensemble.first_fold
    augment = fold.task.settings.augment
    sample = fold.task.sample(resize_as_cached(image, augment.image_size, augment.grayscale))[0]  # (3, H, W)
    network = fold.model  # type: ignore[attr-defined]
    maps = class_maps(network, sample[None], [model.classes.index(label)])
    if maps is None:
        return None
    return enlarged(overlay(np.ascontiguousarray(sample.permute(1, 2, 0).numpy()), maps[0]), SMALLEST_WIDTH)[0]
