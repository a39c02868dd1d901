"""Suspect labels to look at: one sheet of crops."""

from pathlib import Path

import numpy as np
import pandas as pd

from tropho.images import draw
from tropho.images.decode import ImageReader
from tropho.plots.galleries import Row, Tile, tiles_of, write_sheet
from tropho.tables import BOX, GIVEN, SUGGESTED

TILE = 300  # pixels wide
CONTEXT = 3.0  # sides of what is suspect that a crop is wide
CALM: draw.Colour = (235, 235, 235)  # an annotated box that is not the suspect
ANNOTATED: draw.Colour = (255, 176, 0)
SUGGESTED_BOX: draw.Colour = (86, 180, 233)
LEGEND = (("annotated", ANNOTATED), ("suggested", SUGGESTED_BOX), ("other annotated boxes", CALM))


def label_issue_gallery(
    suspects: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame, reader: ImageReader, to: Path, most: int
) -> None:
    """Write one sheet of the first `most` suspects, by rank; none where there are none.

    Args:
        suspects: tables.SUSPECTS.
        images: columns image_id, path.
        boxes: as annotated, columns of tables.BOXES.
        reader: of the folder that `path` stands in; images that can't be read are left out.
        to: the PNG file.
        most: pictures on the sheet.
    """
    rows = suspects.head(most).merge(images[["image_id", "path"]], on="image_id")

    def tile(row: Row) -> Tile:
        caption = f"{row['rank']}. {row['kind'].replace('_', ' ')}: {_change(row)} {row['score']:.2f}"
        suspect = _boxes(row)
        if not suspect:
            return draw.enlarged(reader.read(row["path"], TILE), TILE)[0], caption
        others = boxes.loc[boxes["image_id"] == row["image_id"], BOX].to_numpy(np.float64)
        return _crop(reader.read(row["path"]), suspect, others), caption

    boxed = suspects[[*GIVEN, *SUGGESTED]].notna().to_numpy().any()
    title = f"Labels to check, the most suspect first ({len(rows):,} of {len(suspects):,})"
    write_sheet(tiles_of(rows, tile), to, 4, TILE, title, LEGEND if boxed else ())


def _change(row: Row) -> str:
    """The label, or the old and the new one."""
    labels = ["nothing" if pd.isna(row[name]) else str(row[name]) for name in ("given_label", "suggested_label")]
    return " > ".join(dict.fromkeys(labels))


def _boxes(row: Row) -> list[tuple[np.ndarray, draw.Colour]]:
    """The annotated and the suggested box (4,), as far as there are such, in pixels of the image."""
    both = ((GIVEN, ANNOTATED), (SUGGESTED, SUGGESTED_BOX))
    found = [(np.array([row[side] for side in sides], np.float64), colour) for sides, colour in both]
    return [(box, colour) for box, colour in found if np.isfinite(box).all()]


def _crop(image: np.ndarray, suspect: list[tuple[np.ndarray, draw.Colour]], others: np.ndarray) -> np.ndarray:
    """The square around the suspect boxes (less at the edges of small images), with all boxes in it."""
    corners = np.array([box for box, _ in suspect])
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    size = np.array([image.shape[1], image.shape[0]])
    side = np.minimum(np.ceil(CONTEXT * (high - low).max()), size)
    start = np.clip(np.round((low + high - side) / 2), 0, size - side)
    (left, top), (right, bottom) = start.astype(int), (start + side).astype(int)
    crop, factor = draw.enlarged(image[top:bottom, left:right], TILE)
    shift = np.tile(start, 2)
    inside = others[(others[:, :2] < start + side).all(axis=1) & (others[:, 2:] > start).all(axis=1)]
    crop = draw.draw_boxes(crop, (inside - shift) * factor, [CALM] * len(inside), thickness=1)
    return draw.draw_boxes(crop, (corners - shift) * factor, [colour for _, colour in suspect], thickness=3)
