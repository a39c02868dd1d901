"""Look at a sample of a data set's images: sizes, colour, and how large the boxes are in them."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.data.formats.label_collector import Labels
from tropho.errors import DataError
from tropho.images.decode import image_size, read_image
from tropho.images.thread_pool import in_threads
from tropho.tables import BOX

SAMPLE_IMAGES = 48
GREY_SPREAD = 8.0
"""Mean difference of an image's channels, in grey levels, up to which it has no colour worth keeping."""


@dataclass(frozen=True)
class ImageSample:
    """What a sample of the training images shows.

    Attributes:
        images: rows of LABELLED_IMAGES that can be read, with width and height in pixels.
        long_side: median longer side, pixels.
        grey_share: share of images without colour.
        small_box, median_box: shorter sides of boxes, as shares of the image's longer side: a tenth of the boxes are
            smaller, half of them are; NaN without boxes.
    """

    images: pd.DataFrame
    long_side: int
    grey_share: float
    small_box: float
    median_box: float


def drop_unreadable(labels: Labels, raw: Path) -> tuple[Labels, list[str]]:
    """Leave out the images that are missing or can't be opened, and their boxes; no image is decoded.

    Returns: the labels of the others, and the paths of those.

    Raises:
        DataError: none can be opened.
    """
    paths = list(labels.images["path"])
    can_be_opened = list(in_threads(lambda path: _can_be_opened(raw / path), paths))
    images = labels.images[can_be_opened].reset_index(drop=True)
    if images.empty:
        raise DataError(f"{raw} has none of the images that the labels name, or they can't be opened; put them there.")
    boxes = labels.boxes[labels.boxes["image_id"].isin(images["image_id"])].reset_index(drop=True)
    left_out = [path for path, opened in zip(paths, can_be_opened, strict=True) if not opened]
    return replace(labels, images=images, boxes=boxes), left_out


def look_at_sample(images: pd.DataFrame, boxes: pd.DataFrame, raw: Path) -> ImageSample:
    """Decode some images, drawn by a fixed seed.

    Args:
        images: LABELLED_IMAGES.
        boxes: LABELLED_BOXES of these images and others.
        raw: folder that the images' paths are below.

    Raises:
        DataError: none of them can be read.
    """
    rows = random.Random(0).sample(range(len(images)), min(SAMPLE_IMAGES, len(images)))  # noqa: S311 - nothing secret
    drawn = images.iloc[sorted(rows)]
    looks = list(in_threads(lambda path: _look(raw / path), list(drawn["path"])))
    readable = [look is not None for look in looks]
    if not any(readable):
        raise DataError(f"None of {len(drawn)} images can be read, such as {raw / drawn['path'].iloc[0]}.")
    height, width, spread = np.array([look for look in looks if look is not None]).T  # (n_images,) each
    drawn = drawn[readable].assign(width=width.astype(int), height=height.astype(int))
    longer = drawn[["width", "height"]].max(axis=1)
    drawn_boxes = boxes[boxes["image_id"].isin(drawn["image_id"])].dropna(subset=BOX)
    sides = np.minimum(drawn_boxes["xmax"] - drawn_boxes["xmin"], drawn_boxes["ymax"] - drawn_boxes["ymin"])
    shares = sides / drawn_boxes["image_id"].map(longer.set_axis(drawn["image_id"])).astype(float)
    small, median = np.quantile(np.asarray(shares, float), [0.1, 0.5]) if len(shares) else (np.nan, np.nan)
    return ImageSample(drawn, int(longer.median()), float((spread < GREY_SPREAD).mean()), float(small), float(median))


def _can_be_opened(path: Path) -> bool:
    try:
        image_size(path)
    except (DataError, OSError):
        return False
    return True


def _look(path: Path) -> tuple[int, int, float] | None:
    """Return height, width and the mean difference of the channels; None if the image can't be read."""
    try:
        image = read_image(path)  # (height, width, 3)
    except (DataError, OSError):
        return None
    thinned = image[:: max(1, image.shape[0] // 128), :: max(1, image.shape[1] // 128)].astype(np.int16)
    return image.shape[0], image.shape[1], float((thinned.max(axis=2) - thinned.min(axis=2)).mean())
