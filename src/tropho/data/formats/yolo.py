"""Read YOLO: a text file an image, a row an object: class cx cy w h (or a polygon) as fractions of the image."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_units import to_corners
from tropho.data.formats.label_collector import Labels, files_below, named_files
from tropho.data.formats.label_files import LabelFileReader
from tropho.data.formats.yolo_config import NAME_FILES, YoloConfig, find_entry, is_image_list, read_config
from tropho.errors import DataError
from tropho.images.decode import image_size
from tropho.tables import BOX, parse_number

TOLERANCE = 0.01  # how far, as a fraction of the image, a number may lie outside 0..1 by rounding


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the images of each subset and their label files; docs/label_formats.md has the rules."""
    config, reader = read_config(raw), LabelFileReader(settings, raw)
    configured = _configured(reader, config)
    lists = {path.relative_to(raw).as_posix() for paths in configured.values() for path in paths}
    texts = {str(path) for path in files_below(raw, ".txt") if path.name.lower() not in NAME_FILES}
    reader.match_files(texts - lists)
    reader.add_images(configured)
    for entry, file in reader.labelled(empty_without=True):
        try:
            size = image_size(raw / entry["path"])
        except DataError:
            entry["status"] = "unlabelled"  # the audit says why
            continue
        reader.add_text_rows(entry, file, partial(_parse_box, config=config, size=size))
    if not config.names:
        reader.notes.append("No file gives the class names; classes are called by their numbers (audit.class_map).")
    return reader.labels()


def _configured(reader: LabelFileReader, config: YoloConfig) -> dict[str, list[Path]]:
    """Find the folders and lists of each subset that data.yaml names, or else train.txt, val.txt and test.txt."""
    raw = reader.raw
    if not config.entries:
        names = {"train": {"train.txt"}, "validation": {"val.txt", "valid.txt"}, "test": {"test.txt"}}
        usual = {subset: [raw / path for path in named_files(raw, None, own, "")] for subset, own in names.items()}
        lists = {subset: list(filter(is_image_list, paths)) for subset, paths in usual.items()}
        return lists if lists["train"] else {}
    found: dict[str, list[Path]] = {}
    for subset, entry in ((subset, entry) for subset, entries in config.entries.items() for entry in entries):
        path = find_entry(raw, config, entry)
        if path is not None:
            found.setdefault(subset, []).append(path)
        elif reader.given.get(subset, reader.given["train"]) is None:
            detail = f"There is no folder or list '{entry}', which should hold {subset} images."
            if subset == "train":
                raise DataError(f"{config.file}: there is no folder or list '{entry}' of training images.")
            reader.log.add("absent_folder", "listed", detail, None, config.file)
    return found


def _parse_box(cells: list[str], config: YoloConfig, size: tuple[int, int]) -> dict[str, Any]:
    """Parse one row into the class and corners in pixels of an image of this size; raises as `_parse_row` does."""
    label, corners = _parse_row(cells, config)
    return {"label": label, **dict(zip(BOX, np.round(corners * np.tile(size, 2), 6).tolist(), strict=True))}


def _parse_row(cells: list[str], config: YoloConfig) -> tuple[str, np.ndarray]:
    """Parse one row into the class and corners (4,) as fractions; raise ValueError with the reason."""
    values = np.array([parse_number(cell) for cell in cells])  # (5,), or (1 + 2 points,)
    if np.isnan(values).any():
        raise ValueError(f"'{' '.join(cells)[:60]}' holds what is not a number")
    if config.keypoints and len(values) == 5 + config.keypoints:
        values = values[:5]
    if len(values) < 5 or (len(values) > 6 and len(values) % 2 == 0):
        raise ValueError(f"{len(values)} numbers are neither class cx cy w h nor a class and a polygon")
    if values[0] < 0 or values[0] % 1:
        raise ValueError(f"The class number is {cells[0]}")
    label = config.names.get(int(values[0])) if config.names else str(int(values[0]))
    if label is None:
        raise ValueError(f"Class {cells[0]} is not among the {len(config.names)} class names, which begin at 0")
    box = values[1:5] if len(values) <= 6 else values[1:]  # a sixth number is the confidence of a prediction
    outside = box[(box < -TOLERANCE) | (box > 1 + TOLERANCE)]
    if len(outside):
        raise ValueError(f"{outside[0]:g} is not a share of the image from 0 to 1")
    if len(values) > 6:
        points = box.reshape(-1, 2)  # (points, 2)
        return label, np.concatenate([points.min(axis=0), points.max(axis=0)])
    if not (box[2:] > 0).all():
        raise ValueError(f"The box has the width {box[2]:g} and the height {box[3]:g}")
    return label, to_corners(box[None], "cxcywh")[0]
