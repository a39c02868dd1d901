"""Photos of the page: images as the model sees them, with what it finds out of fold."""

import math
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from PIL import Image

from tropho.errors import DataError
from tropho.images.cache import ImageCache
from tropho.images.draw import FALSE, HIT, MISSED, draw_boxes
from tropho.metrics.matching import Matches, drop_ignored, match
from tropho.plots.format_numbers import count
from tropho.plots.galleries import class_caption, evenly_spaced
from tropho.report.blocks import Block, Mark, Photo, Photos, Pictures
from tropho.report.embed_image import Picture, embed_array
from tropho.report.reader import Reader, say
from tropho.tables import BOX, DETECTIONS, split_regions

N_PHOTOS = 8
N_FIRST = 2
N_CLASSIFIED = 6
DIGITS = 6  # of scores and thresholds on the page
MIN_SIDE = 200  # pixels; smaller pictures are enlarged to this width
THRESHOLDS = np.linspace(0, 1, 101)
COLOURS = {"hit": HIT, "false": FALSE, "missed": MISSED}
MAX_MARKS = 150
"""Boxes on a photo at most, the most confident first."""


@dataclass(frozen=True)
class Outcomes:
    """Detections and objects of the images that the trained folds validate.

    Attributes:
        images: image_id, in the order of falling mistakes at the chosen thresholds.
        marks: objects, kind "missed", and detections, kinds "hit" and "false"; columns image_id, label, index (of the
            class), kind, score, visible (at the chosen thresholds) and the box.
        classes: names, by index.
        thresholds: chosen ones, by class.
    """

    images: pd.DataFrame
    marks: pd.DataFrame
    classes: list[str]
    thresholds: dict[str, float]


def first_pictures(reader: Reader) -> list[Block]:
    """Show a few images as the model sees them, with its predictions; empty if there are none."""
    if reader.task.kind == "classification":
        return _classified(reader)
    outcomes = read_outcomes(reader)
    if outcomes is None:
        return []
    with_objects = outcomes.images["image_id"].isin(outcomes.marks.loc[outcomes.marks["kind"] == "missed", "image_id"])
    shown = outcomes.images[with_objects] if with_objects.any() else outcomes.images
    middle = len(shown) // 2  # typical ones: neither the best nor the worst
    photos = _photos(reader, outcomes, shown.iloc[max(0, middle - 1) :].head(N_FIRST))
    return [_block(outcomes, photos, "", with_counts=False)] if photos else []


def photo_viewer(reader: Reader) -> list[Block]:
    """Show photos from most to fewest mistakes, with a slider of the confidence; empty in classification."""
    outcomes = None if reader.task.kind == "classification" else read_outcomes(reader)
    if outcomes is None:
        return []
    photos = _photos(reader, outcomes, evenly_spaced(outcomes.images, N_PHOTOS))
    note = say("photos", n_images=count(len(outcomes.images)))
    return [_block(outcomes, photos, note, with_counts=True)] if photos else []


def read_outcomes(reader: Reader) -> Outcomes | None:
    """Match out-of-fold detections with the annotated boxes of the trained folds; None if a file is missing."""
    found = reader.table(reader.paths.evaluate / "oof_postprocessed.parquet", DETECTIONS)
    boxes, splits, run = reader.boxes, reader.splits, reader.run
    if found is None or boxes is None or splits is None or not run:
        return None
    classes = reader.summary["classes"]
    folds = [fold["fold"] for fold in run["folds"]]
    ids = list(splits.loc[(splits["subset"] == "train") & splits["fold"].isin(folds), "image_id"])
    objects, regions = split_regions(boxes)
    objects, found = (
        table[table["image_id"].isin(ids) & table["label"].isin(classes)].reset_index(drop=True)
        for table in (objects, found)
    )
    matches = match(objects, drop_ignored(found, objects, regions))
    chosen = reader.json(reader.paths.evaluate / "thresholds.json")
    scores = {name: value["threshold"] for name, value in chosen.items()}
    thresholds = {name: scores[name] if scores.get(name) is not None else 0.5 for name in classes}
    objects = matches.truths.assign(kind="missed", score=_score_of(matches))
    found = matches.detections.assign(kind=np.where(matches.detections["hit"], "hit", "false"))
    marks = pd.concat([table.astype({"score": np.float64}) for table in (objects, found)], ignore_index=True)
    is_above = marks["score"] >= marks["label"].map(thresholds).astype(np.float64)
    marks = marks.assign(visible=is_above != (marks["kind"] == "missed"), index=marks["label"].map(classes.index))
    mistakes = marks.loc[marks["visible"] & (marks["kind"] != "hit"), "image_id"].value_counts()
    images = pd.DataFrame({"image_id": ids}).assign(mistakes=pd.Series(ids).map(mistakes).fillna(0))
    images = images.sort_values(["mistakes", "image_id"], ascending=[False, True], ignore_index=True)
    return Outcomes(images, marks, classes, thresholds)


def _score_of(matches: Matches) -> np.ndarray:
    """Score of the detection that finds each object, 0 if none does, (m,).

    Detections claim objects by descending score, so a threshold takes away the claims below it and no other.
    """
    rows = matches.truths["detection_row"].to_numpy(np.int64)
    scores = np.append(matches.detections["score"].to_numpy(np.float64), 0.0)
    return scores[np.where(rows >= 0, rows, len(scores) - 1)]


def _block(outcomes: Outcomes, photos: list[Photo], note: str, with_counts: bool) -> Photos:
    exact = [outcomes.thresholds[name] for name in outcomes.classes]
    thresholds = [math.floor(value * 10**DIGITS) / 10**DIGITS for value in exact]  # a rounded score at it stays above
    if not with_counts:
        return Photos(photos, outcomes.classes, thresholds, note=note)
    tables, chosen, n_truths = [], [], []
    for name, threshold in zip(outcomes.classes, exact, strict=True):
        own = outcomes.marks[outcomes.marks["label"] == name]
        n_truths.append(int((own["kind"] == "missed").sum()))
        found = own[own["kind"] != "missed"]
        scores, hit = found["score"].to_numpy(np.float64), (found["kind"] == "hit").to_numpy(bool)
        tables.append([_counts(scores, hit, value) for value in THRESHOLDS])
        chosen.append(_counts(scores, hit, threshold))
    counts = [list(row) for row in zip(*tables, strict=True)]
    return Photos(photos, outcomes.classes, thresholds, counts, n_truths, chosen, note)


def _counts(scores: np.ndarray, hit: np.ndarray, threshold: float) -> list[int]:
    above = scores >= threshold
    return [int((above & hit).sum()), int((above & ~hit).sum())]


def _photos(reader: Reader, outcomes: Outcomes, images: pd.DataFrame) -> list[Photo]:
    cache = _cache(reader)
    if cache is None:
        return []
    return [_photo(image_id, outcomes, cache) for image_id in images["image_id"] if image_id in cache]


def _photo(image_id: str, outcomes: Outcomes, cache: ImageCache) -> Photo:
    scale = np.tile(cache.scale(image_id), 2)  # (4,), pixels of the photo per original pixel
    own = outcomes.marks[outcomes.marks["image_id"] == image_id].sort_values("score", ascending=False, kind="stable")
    is_object = own["kind"] == "missed"
    marks = []
    for row in pd.concat([own[is_object].head(MAX_MARKS), own[~is_object].head(MAX_MARKS)]).to_dict("records"):
        left, top, right, bottom = (
            round(float(row[side]) * factor, 1) for side, factor in zip(BOX, scale, strict=True)
        )
        score, box = round(row["score"], DIGITS), (left, top, right, bottom)
        marks.append(Mark(row["kind"], score, row["label"], row["index"], box, row["visible"]))
    shown = _in_words(marks)
    return Photo(embed_array(cache[image_id], f"{image_id}: {shown}", f"Photo {image_id}: {shown}."), marks)


def _in_words(marks: list[Mark]) -> str:
    """Count the visible marks by kind."""
    numbers = [sum(mark.visible and mark.kind == kind for mark in marks) for kind in ("hit", "false", "missed")]
    alarms = "false alarm" if numbers[1] == 1 else "false alarms"
    return f"{count(numbers[0])} found, {count(numbers[1])} {alarms}, {count(numbers[2])} missed"


def drawn(photo: Photo) -> Picture:
    """Draw the visible boxes on a photo, for pages that can't lay them over it."""
    visible = [mark for mark in photo.marks if mark.visible]
    image = np.asarray(Image.open(BytesIO(photo.picture.data)).convert("RGB"))
    boxes = np.array([mark.box for mark in visible]).reshape(-1, 4)
    pixels = draw_boxes(image, boxes, [COLOURS[mark.kind] for mark in visible])
    return embed_array(pixels, photo.picture.caption, photo.picture.alt)


def _classified(reader: Reader) -> list[Block]:
    """Show images from the most to the least confident prediction."""
    table = reader.table(reader.paths.evaluate / "oof_postprocessed.parquet")
    images, cache = reader.images, _cache(reader)
    if table is None or images is None or cache is None:
        return []
    columns = [name for name in map(str, table) if name.startswith("p_")]
    table = table.assign(confidence=table[columns].max(axis=1))
    table = table.merge(images[["image_id", "label"]], on="image_id", suffixes=("", "_true"))
    table = table[table["image_id"].isin(cache.image_ids)].sort_values("confidence", ascending=False, kind="stable")
    pictures = []
    for row in evenly_spaced(table, N_CLASSIFIED).to_dict("records"):
        caption = class_caption(row)
        picture = embed_array(cache[row["image_id"]], caption, f"Image {row['image_id']}: predicted {caption}.")
        width = max(picture.width, MIN_SIDE)
        height = round(picture.height * width / picture.width)
        pictures.append(Picture(picture.data, width, height, picture.alt, caption, chart=False))
    return [Pictures(pictures)] if pictures else []


def _cache(reader: Reader) -> ImageCache | None:
    try:
        return ImageCache(reader.paths.augmented / "cache")
    except DataError:
        return None
