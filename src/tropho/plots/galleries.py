"""Contact sheets of images with what was predicted on them, coloured by outcome."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.images import draw
from tropho.images.decode import ImageReader
from tropho.metrics.matching import Matches
from tropho.tables import BOX

CLASS_TILE = 180  # pixels wide
BOX_TILE = 480
CROWDED = 12  # with more boxes than this, hits go without a caption
GUESS: draw.Colour = (86, 180, 233)  # a detection on an image whose truth is unknown

Tile = tuple[np.ndarray, str]
Row = dict[Hashable, Any]
Legend = Sequence[tuple[str, draw.Colour]]


def class_galleries(table: pd.DataFrame, classes: Sequence[str], reader: ImageReader, to: Path, most: int) -> None:
    """Write gallery_wrong and gallery_right (or one gallery, where the truth is unknown).

    Args:
        table: columns image_id, path, label (predicted), label_true (may be empty), p_<class>.
        classes: all class names.
        reader: of the folder that `path` stands in.
        to: folder of the PNG files.
        most: pictures a sheet.
    """
    confidence = table[[f"p_{name}" for name in classes]].max(axis=1)
    ranked = table.assign(confidence=confidence).sort_values("confidence", ascending=False, kind="stable")
    known = ranked["label_true"].isin(list(classes))
    right = known & (ranked["label_true"] == ranked["label"]).fillna(value=False).astype(bool)
    sheets = (
        ("gallery_wrong", ranked[known & ~right].head(most), "Wrong, the most confident first", draw.FALSE),
        ("gallery_right", spread(ranked[right], most), "Right, from sure to unsure", draw.HIT),
        ("gallery", spread(ranked[~known], most), "Predictions, from sure to unsure", GUESS),
    )
    for name, rows, title, colour in sheets:
        tiles = tiles_of(rows, partial(_class_tile, reader=reader, colour=colour))
        write_sheet(tiles, to / f"{name}.png", 6, CLASS_TILE, title, ())


def _class_tile(row: Row, reader: ImageReader, colour: draw.Colour) -> Tile:
    """An image in a frame of the outcome's colour."""
    frame = 4
    image, _ = draw.enlarged(reader.read(row["path"], CLASS_TILE), CLASS_TILE - 2 * frame)
    tile = np.empty((image.shape[0] + 2 * frame, CLASS_TILE, 3), np.uint8)
    tile[:] = colour
    tile[frame:-frame, frame : frame + image.shape[1]] = image
    told = f"{row['label']} {row['confidence']:.2f}"
    true = row["label_true"]
    return tile, told if pd.isna(true) or true == row["label"] else f"{told}, is {true}"


def box_galleries(
    images: pd.DataFrame, matches: Matches, known: bool, reader: ImageReader, to: Path, most: int
) -> None:
    """Write gallery_worst (most mistakes first) and gallery (evenly drawn from the others).

    Args:
        images: columns image_id, path.
        matches: detections above their threshold and true boxes, with their outcomes.
        known: whether the truth of these images is known; if not, detections have no outcome.
        reader: of the folder that `path` stands in.
        to: folder of the PNG files.
        most: pictures in both sheets together.
    """
    images = images.drop_duplicates("image_id")
    if not known:
        rows = spread(images.sort_values("image_id"), most)
        _write_boxes(rows, matches, False, reader, to / "gallery.png", "Predictions")
        return
    wrong = pd.concat([part.loc[~part["hit"], "image_id"] for part in (matches.detections, matches.truths)])
    mistakes = images["image_id"].map(wrong.value_counts()).fillna(0)
    ranked = images.assign(mistakes=mistakes).sort_values(["mistakes", "image_id"], ascending=[False, True])
    worst = ranked[ranked["mistakes"] > 0].head(most // 2)
    others = spread(ranked.drop(worst.index), most - len(worst))
    _write_boxes(worst, matches, True, reader, to / "gallery_worst.png", "Most mistakes first")
    _write_boxes(others, matches, True, reader, to / "gallery.png", "Others, from more to fewer mistakes")


def _write_boxes(
    rows: pd.DataFrame, matches: Matches, known: bool, reader: ImageReader, path: Path, title: str
) -> None:
    found, true = (dict(list(table.groupby("image_id"))) for table in (matches.detections, matches.truths))

    def tile(row: Row) -> Tile:
        name = row["image_id"]
        mine = found.get(name, matches.detections.iloc[:0]), true.get(name, matches.truths.iloc[:0])
        return _box_tile(name, reader, row["path"], *mine, known)

    outcomes = (("hit", draw.HIT), ("false alarm", draw.FALSE), ("missed", draw.MISSED))
    write_sheet(tiles_of(rows, tile), path, 3, BOX_TILE, title, outcomes if known else (("predicted", GUESS),))


def _box_tile(name: str, reader: ImageReader, path: str, found: pd.DataFrame, true: pd.DataFrame, known: bool) -> Tile:
    """An image with its missed objects below its false alarms below its hits."""
    image, _ = draw.enlarged(reader.read(path, BOX_TILE), BOX_TILE)
    width, height = reader.size(path)
    scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
    missed = true[~true["hit"]]
    false, hits = (found[~found["hit"]], found[found["hit"]]) if known else (found, found.iloc[:0])
    crowded = len(found) + len(missed) > CROWDED
    marks: list[tuple[Any, draw.Colour, str]] = [
        *((row, draw.MISSED, f"missed {row.label}") for row in missed.itertuples()),
        *((row, draw.FALSE if known else GUESS, _told(row, known, crowded)) for row in false.itertuples()),
        *((row, draw.HIT, "" if crowded else f"{row.label} {row.score:.2f}") for row in hits.itertuples()),
    ]
    boxes = np.array([[getattr(row, side) for side in BOX] for row, _, _ in marks], float).reshape(-1, 4) * scale
    captions = [caption if len(caption) < 40 else f"{caption[:39]}…" for _, _, caption in marks]
    drawn = draw.draw_boxes(image, boxes, [colour for _, colour, _ in marks], captions, thickness=2)
    told = f"{len(hits)} hit, {len(false)} false, {len(missed)} missed" if known else f"{len(found)} found"
    return drawn, f"{name}: {told}"


def _told(row: Any, known: bool, crowded: bool) -> str:
    """The caption of a false alarm, or of a guess."""
    if known:
        return f"false {row.label} {row.score:.2f}"
    return "" if crowded else f"{row.label} {row.score:.2f}"


def spread(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` rows at even distances, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, most).round().astype(int)] if most > 0 else rows.iloc[:0]


def tiles_of(rows: pd.DataFrame, make: Callable[[Row], Tile]) -> list[Tile]:
    """The tiles of the rows whose image can be read."""
    tiles = []
    for row in rows.to_dict("records"):
        try:
            tiles.append(make(row))
        except DataError:  # the audit has listed it
            continue
    return tiles


def write_sheet(
    tiles: Sequence[Tile],
    path: Path,
    columns: int,
    width: int,
    title: str,
    legend: Legend,
) -> None:
    """Write a sheet; none where there is nothing to show."""
    if tiles:
        pictures, captions = zip(*tiles, strict=True)
        draw.write_png(path, draw.contact_sheet(pictures, captions, columns, width, title, legend))
