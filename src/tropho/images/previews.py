"""A sheet of training images before and after augmentation, to be judged by eye."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tropho.images.draw import Colour, class_colours, contact_sheet, draw_boxes, enlarged, write_png
from tropho.images.pack import Pack
from tropho.images.policies import Policy
from tropho.seeds import sample_seed
from tropho.tables import BOX

_NARROWEST, _WIDEST = 240, 480  # pixels of a tile


def preview_sheet(
    pack: Pack, images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str], policy: Policy, to: Path
) -> None:
    """Write a PNG of pairs: the packed image, and what the policy makes of it, each with its boxes.

    Args:
        pack: holds every image.
        images: columns image_id and label, one row a pair, in this order; the label goes under the picture.
        boxes: tables.BOXES, pixels of the original images.
        classes: in the order that colours go by.
        policy: one draw is shown for each image.
        to: the file.
    """
    colours = class_colours(classes)
    width = min(max(policy.size, _NARROWEST), _WIDEST)
    tiles, captions = [], []
    for number, (image_id, label) in enumerate(zip(images["image_id"], images["label"], strict=True)):
        image = pack[image_id]
        packed, numbers = packed_boxes(pack, boxes, image_id, classes)
        new, new_boxes, new_numbers = policy(image, packed, numbers, sample_seed(0, 0, number))
        tiles += [
            _tile(image, packed, numbers, colours, width),
            _tile(new, new_boxes, new_numbers, colours, width),
        ]
        name = image_id if pd.isna(label) else f"{label}: {PurePosixPath(image_id).name}"
        captions += [name, f"augmented{_counted(len(numbers), len(new_numbers))}"]
    shown = set(boxes.loc[boxes["image_id"].isin(images["image_id"]), "label"])
    legend = [(name, colour) for name, colour in colours.items() if name in shown]
    title = f"Policy '{policy.name}': each pair is the image at training size and one augmentation of it"
    write_png(to, contact_sheet(tiles, captions, columns=4, tile_width=width, title=title, legend=legend))


def packed_boxes(pack: Pack, boxes: pd.DataFrame, image_id: str, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """An image's boxes (n, 4) float32 xyxy in pixels of the packed image, and class numbers (n,) int64."""
    rows = boxes[boxes["image_id"] == image_id]
    scaled = rows[BOX].to_numpy(np.float64) * np.tile(pack.scale(image_id), 2)
    numbers = np.array([classes.index(name) for name in rows["label"]], np.int64)
    return scaled.astype(np.float32), numbers


def _tile(
    image: np.ndarray, boxes: np.ndarray, numbers: np.ndarray, colours: dict[str, Colour], width: int
) -> np.ndarray:
    large, factor = enlarged(image, width)
    palette = list(colours.values())
    return draw_boxes(large, boxes * factor, [palette[number] for number in numbers])


def _counted(before: int, after: int) -> str:
    if not before:
        return ""
    return f", {after} of {before} boxes" if after < before else f", {after} box{'' if after == 1 else 'es'}"
