"""Contact sheets of images with predictions, coloured by outcome, and of label issues."""

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.images import draw
from tropho.images.decode import ImageReader
from tropho.metrics.matching import Matches
from tropho.plots.format_numbers import humanize
from tropho.tables import BOX, GIVEN, SUGGESTED

CLASS_TILE = 270  # pixels wide, as are the other tiles
BOX_TILE = 480
ISSUE_TILE = 420
FRAME = 4  # pixels
MAX_CAPTIONED = 12  # with more boxes than this, only mistakes have captions
UNKNOWN: draw.Colour = (86, 180, 233)  # a detection in an image without ground truth
CROP_SIDES = 3.0  # a crop is this many times as wide as the boxes of the issue
OTHER_BOX: draw.Colour = (235, 235, 235)
ANNOTATED: draw.Colour = (255, 176, 0)
SUGGESTED_BOX: draw.Colour = (86, 180, 233)
OUTCOMES = (("found", draw.HIT), ("false alarm", draw.FALSE), ("missed", draw.MISSED))
ISSUE_BOXES = (("annotated", ANNOTATED), ("suggested", SUGGESTED_BOX), ("other annotated boxes", OTHER_BOX))

Tile = tuple[np.ndarray, str]
Row = dict[Hashable, Any]


def class_galleries(table: pd.DataFrame, classes: Sequence[str], reader: ImageReader, folder: Path, most: int) -> None:
    """Write gallery_wrong.png and gallery_right.png, or gallery.png for images without a label.

    Args:
        table: columns image_id, path, label (predicted), label_true (may be empty), p_<class>.
        classes: all class names.
        reader: of the folder that `path` is relative to.
        folder: of the PNG files.
        most: images a sheet.
    """
    confidence = table[[f"p_{name}" for name in classes]].max(axis=1)
    ranked = table.assign(confidence=confidence).sort_values("confidence", ascending=False, kind="stable")
    known = ranked["label_true"].isin(list(classes))
    right = known & (ranked["label_true"] == ranked["label"]).fillna(value=False).astype(bool)
    sheets = (
        ("gallery_wrong", ranked[known & ~right].head(most), "Wrong, most confident first", draw.FALSE),
        ("gallery_right", evenly_spaced(ranked[right], most), "Right, from most to least confident", draw.HIT),
        ("gallery", evenly_spaced(ranked[~known], most), "Predictions, from most to least confident", UNKNOWN),
    )
    for name, rows, title, colour in sheets:
        tile = partial(_class_tile, reader=reader, colour=colour)
        write_sheet(rows, tile, folder / f"{name}.png", 4, CLASS_TILE, title)


def class_caption(row: Row) -> str:
    """Say what was predicted with which confidence, and the label if it is another."""
    text = f"{row['label']} {row['confidence']:.2f}"
    label = row["label_true"]
    return text if pd.isna(label) or label == row["label"] else f"{text}, label {label}"


def _class_tile(row: Row, reader: ImageReader, colour: draw.Colour) -> Tile:
    """Frame the image in the colour of its outcome."""
    image, _ = draw.enlarged(reader.read(row["path"], CLASS_TILE), CLASS_TILE - 2 * FRAME)
    tile = np.empty((image.shape[0] + 2 * FRAME, CLASS_TILE, 3), np.uint8)
    tile[:] = colour
    tile[FRAME:-FRAME, FRAME : FRAME + image.shape[1]] = image
    return tile, class_caption(row)


def box_galleries(
    images: pd.DataFrame, matches: Matches, has_truth: bool, reader: ImageReader, folder: Path, most: int
) -> None:
    """Write gallery_worst.png (most mistakes first) and gallery.png (evenly drawn from the rest).

    Args:
        images: columns image_id, path.
        matches: detections above their threshold and true boxes, with their outcomes.
        has_truth: whether the images have ground truth; if not, detections have no outcome.
        reader: of the folder that `path` is relative to.
        folder: of the PNG files.
        most: images in both sheets together.
    """
    images = images.drop_duplicates("image_id")
    tile = partial(_box_tile, matches=matches, has_truth=has_truth, reader=reader)
    if not has_truth:
        rows = evenly_spaced(images.sort_values("image_id"), most)
        legend = [("predicted", UNKNOWN)]
        write_sheet(rows, tile, folder / "gallery.png", 3, BOX_TILE, "Predictions", legend)
        return
    wrong = pd.concat([part.loc[~part["hit"], "image_id"] for part in (matches.detections, matches.truths)])
    mistakes = images["image_id"].map(wrong.value_counts()).fillna(0)
    ranked = images.assign(mistakes=mistakes).sort_values(["mistakes", "image_id"], ascending=[False, True])
    worst = ranked[ranked["mistakes"] > 0].head(most // 2)
    others = evenly_spaced(ranked.drop(worst.index), most - len(worst))
    for name, rows, title in (
        ("gallery_worst", worst, "Most mistakes first"),
        ("gallery", others, "Other images, from more to fewer mistakes"),
    ):
        write_sheet(rows, tile, folder / f"{name}.png", 3, BOX_TILE, title, OUTCOMES)


def _box_tile(row: Row, matches: Matches, has_truth: bool, reader: ImageReader) -> Tile:
    """Draw missed objects, over them false alarms, over them hits."""
    image, _ = draw.enlarged(reader.read(row["path"], BOX_TILE), BOX_TILE)
    width, height = reader.size(row["path"])
    scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
    pred, gt = (table[table["image_id"] == row["image_id"]] for table in (matches.detections, matches.truths))
    missed = gt[~gt["hit"]]
    false, hits = (pred[~pred["hit"]], pred[pred["hit"]]) if has_truth else (pred, pred.iloc[:0])
    crowded = len(pred) + len(missed) > MAX_CAPTIONED
    marks: list[tuple[Any, draw.Colour, str]] = [
        *((box, draw.MISSED, f"missed {box.label}") for box in missed.itertuples()),
        *((box, draw.FALSE if has_truth else UNKNOWN, f"{box.label} {box.score:.2f}") for box in false.itertuples()),
        *((box, draw.HIT, f"{box.label} {box.score:.2f}") for box in hits.itertuples()),
    ]
    boxes = np.array([[getattr(box, side) for side in BOX] for box, _, _ in marks], float).reshape(-1, 4) * scale
    plain = {draw.HIT, UNKNOWN} if crowded else set()
    captions = ["" if colour in plain else f"{text[:39]}…" if len(text) > 39 else text for _, colour, text in marks]
    drawn = draw.draw_boxes(image, boxes, [colour for _, colour, _ in marks], captions, thickness=2)
    counts = f"{len(hits)} found, {len(false)} false alarms, {len(missed)} missed"
    return drawn, f"{row['image_id']}: {counts if has_truth else f'{len(pred)} detected'}"


def label_issue_gallery(
    issues: pd.DataFrame, images: pd.DataFrame, boxes: pd.DataFrame, reader: ImageReader, path: Path, most: int
) -> None:
    """Write one sheet of the first `most` label issues; no file if there are none.

    Args:
        issues: tables.LABEL_ISSUES, by rank.
        images: columns image_id, path.
        boxes: tables.BOXES, as annotated.
        reader: of the folder that `path` of the images is relative to; images that can't be read are left out.
        path: of the PNG file.
        most: images on the sheet.
    """
    rows = issues.head(most).merge(images[["image_id", "path"]], on="image_id")
    tile = partial(draw_label_issue, boxes=boxes, reader=reader)
    has_boxes = issues[[*GIVEN, *SUGGESTED]].notna().to_numpy().any()
    title = f"Label issues, most suspect first ({len(rows):,} of {len(issues):,})"
    write_sheet(rows, tile, path, 3, ISSUE_TILE, title, ISSUE_BOXES if has_boxes else ())


def draw_label_issue(row: Row, boxes: pd.DataFrame, reader: ImageReader) -> Tile:
    """Draw the part of an image that a label issue is about.

    Args:
        row: of tables.LABEL_ISSUES, with `path`.
        boxes: tables.BOXES, as annotated.
        reader: of the folder that `path` is relative to.

    Returns: the picture (ISSUE_TILE, ISSUE_TILE, 3) uint8 RGB of boxes, or the whole image; and its caption.
    """
    labels = ["none" if pd.isna(row[key]) else str(row[key]) for key in ("given_label", "suggested_label")]
    caption = f"{row['rank']}. {humanize(row['kind'])}: label {labels[0]}, suggested {labels[1]} ({row['score']:.2f})"
    pairs = ((GIVEN, ANNOTATED), (SUGGESTED, SUGGESTED_BOX))
    found = [(np.array([row[side] for side in sides], np.float64), colour) for sides, colour in pairs]
    issue_boxes = [(box, colour) for box, colour in found if np.isfinite(box).all()]
    if not issue_boxes:
        return draw.enlarged(reader.read(row["path"], ISSUE_TILE), ISSUE_TILE)[0], caption
    others = boxes.loc[boxes["image_id"] == row["image_id"], BOX].to_numpy(np.float64)
    return _crop(reader.read(row["path"]), issue_boxes, others), caption


def _crop(image: np.ndarray, issue: list[tuple[np.ndarray, draw.Colour]], others: np.ndarray) -> np.ndarray:
    """Cut a square around the boxes of an issue, less at the edges of small images, and draw all boxes in it."""
    corners = np.array([box for box, _ in issue])
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    size = np.array([image.shape[1], image.shape[0]])
    side = np.minimum(np.ceil(CROP_SIDES * (high - low).max()), size)
    start = np.clip(np.round((low + high - side) / 2), 0, size - side)
    (left, top), (right, bottom) = start.astype(int), (start + side).astype(int)
    crop, factor = draw.enlarged(image[top:bottom, left:right], ISSUE_TILE)
    shift = np.tile(start, 2)
    inside = others[(others[:, :2] < start + side).all(axis=1) & (others[:, 2:] > start).all(axis=1)]
    crop = draw.draw_boxes(crop, (inside - shift) * factor, [OTHER_BOX] * len(inside), thickness=1)
    return draw.draw_boxes(crop, (corners - shift) * factor, [colour for _, colour in issue], thickness=3)


def evenly_spaced(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Pick at most `most` rows at even distances, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, most).round().astype(int)] if most > 0 else rows.iloc[:0]


def write_sheet(
    rows: pd.DataFrame,
    make: Callable[[Row], Tile],
    path: Path,
    columns: int,
    width: int,
    title: str,
    legend: Sequence[tuple[str, draw.Colour]] = (),
) -> None:
    """Write a contact sheet with a tile of each row whose image can be read; no file without tiles."""
    tiles = []
    for row in rows.to_dict("records"):
        with suppress(DataError):  # the audit lists it
            tiles.append(make(row))
    if tiles:
        pictures, captions = zip(*tiles, strict=True)
        draw.write_png(path, draw.contact_sheet(pictures, captions, columns, width, title, legend))
