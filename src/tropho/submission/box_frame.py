"""Predicted boxes in the frame that the training labels use."""

from pathlib import Path

import pandas as pd

from tropho.errors import DataError
from tropho.images.decode import image_orientation
from tropho.orientation import STORED, SYMMETRIES, turn_boxes
from tropho.tables import BOX


def to_stored_frame(table: pd.DataFrame, images: pd.DataFrame, raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Boxes of photos that EXIF turns, on the pictures as they are stored; and the images with those sizes.

    Args:
        table: image_id and tables.BOX, pixels of the upright image; a box without area stands for nothing and stays.
        images: tables.IMAGES.
        raw: folder that the images' paths start from.
    """
    table, images = table.copy(), images.copy()
    boxed = (table["xmax"] > table["xmin"]) & (table["ymax"] > table["ymin"])
    concerned = images["width"].notna() & images["image_id"].isin(table["image_id"])
    for row, image in images[concerned].iterrows():
        try:
            turn = STORED[image_orientation(raw / image["path"])]
        except DataError:  # nothing was predicted for it
            continue
        own = boxed & (table["image_id"] == image["image_id"])
        size = (int(image["width"]), int(image["height"]))
        if own.any() and turn != "identity":
            table.loc[own, BOX] = turn_boxes(table.loc[own, BOX].to_numpy("float64"), turn, *size)
        if SYMMETRIES[turn][0]:
            images.loc[row, ["width", "height"]] = size[::-1]
    return table, images
