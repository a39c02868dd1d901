"""Read COCO: JSON files with `images`, `annotations` (bbox = x, y, width, height) and `categories`."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import climb, subset_of_file, unique_ids
from tropho.data.formats.label_collector import IssueLog, LabelCollector, Labels, files_below, find_label_files
from tropho.errors import DataError
from tropho.tables import BOX


@dataclass
class _LabelFile:
    """A COCO file."""

    subset: str  # train | validation | test
    file: str  # path below the data set
    content: dict[str, Any]  # the JSON
    searched: str  # the subset whose folders are searched first for the images; "" where the file names none
    # path of the image by COCO's image id, as text; None where it is ambiguous
    paths: dict[str, str | None] = field(default_factory=dict)

    @property
    def folder(self) -> PurePosixPath:
        """Folder below the data set."""
        return PurePosixPath(self.file).parent


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the JSON files of each subset; docs/label_formats.md has the rules."""
    reader = _Reader(raw)
    sources = _sources(settings, raw, reader.log)
    try:
        for source in sources:
            file = source.file
            reader.find_images(source)
        _drop_far_images(sources)
        ids = unique_ids(path for source in sources for path in source.paths.values() if path)
        for source in sources:
            file = source.file
            reader.add_images(source, ids)
            reader.add_boxes(source, ids)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{file} is not in COCO's layout: {type(error).__name__} {error}.") from None
    with_box = {box["image_id"] for box in reader.boxes}
    for entry in reader.images.values():
        if "annotated" in entry and entry["image_id"] not in with_box:
            reader.mark_unlabelled(entry, "None of its annotations can be used, so its labels are unknown.")
    return reader.labels()


class _Reader(LabelCollector):
    """Read one file after another."""

    def find_images(self, source: _LabelFile) -> None:
        """Fill `source.paths`; log names and ids that stand for several images."""
        names: dict[str, str] = {}
        for image in source.content["images"]:
            number, name = _id(image["id"]), str(image["file_name"])
            match = self.on_disk.find(name, str(source.folder), source.searched)
            path = None if match.ambiguous else match.path
            if match.ambiguous:
                self.log.add("ambiguous_name", "quarantined", match.detail(name), name, source.file)
            if source.paths.setdefault(number, path) != path:
                pair = f"{source.paths[number]} and {path}"
                detail = f"The id {number} is that of {pair}; its labels are used for neither."
                self.log.add("ambiguous_name", "quarantined", detail, name, source.file)
                source.paths[number] = None
            elif path and names.setdefault(path, name) != name:
                detail = f"'{name}' and '{names[path]}' both mean {path}; their labels are not used."
                self.log.add("ambiguous_name", "quarantined", detail, name, source.file)
                source.paths = {key: None if value == path else value for key, value in source.paths.items()}

    def add_images(self, source: _LabelFile, ids: dict[str, str]) -> None:
        """Add the file's images; take those of another subset out of `source.paths`."""
        for image in source.content["images"]:
            number = _id(image["id"])
            path = source.paths[number]
            if path is None:
                continue
            size = {"stated_width": _pixels(image.get("width")), "stated_height": _pixels(image.get("height"))}
            if self.add_image(ids[path], path, source.subset, source.file, **size) is None:
                source.paths[number] = None

    def add_boxes(self, source: _LabelFile, ids: dict[str, str]) -> None:
        """Add the boxes of the file's annotations; log those that can't be used."""
        names = {_id(category["id"]): str(category["name"]).strip() for category in source.content["categories"]}
        for annotation in source.content["annotations"]:
            number, name = _id(annotation.get("image_id")), f"Annotation {annotation.get('id')}"
            if number not in source.paths:
                detail = f"{name} is of image {number}, unknown."
                self.log.add("bad_row", "quarantined", detail, None, source.file)
                continue
            path = source.paths[number]
            if path is None:
                continue
            self.images[path]["annotated"] = True
            label, corners = names.get(_id(annotation.get("category_id"))), box_of(annotation)
            if not label or corners is None:
                reason = "a category that is not in the file's list" if not label else "neither a box nor an outline"
                self.log.add("bad_row", "quarantined", f"{name} has {reason}.", ids[path], source.file)
                continue
            ignore = str(annotation.get("iscrowd")).lower() in {"1", "1.0", "true"}
            if ignore:
                detail = f"{name} marks a crowd, not one {label}; the region is ignored."
                self.log.add("crowd", "ignored", detail, ids[path], source.file)
            place = {"image_id": ids[path], "label": label, "file": source.file}
            self.boxes.append({**place, **corners, "ignore": ignore})


def _drop_far_images(sources: list[_LabelFile]) -> None:
    """Count an image as missing that lies farther off than the file's others, if a nearer file names it too.

    Of two jobs with equal names, the one that lacks an image would else get the other's.
    """
    distances = [
        {image: climb(str(source.folder), image) for image in source.paths.values() if image} for source in sources
    ]
    nearest = {image: min(each.get(image, math.inf) for each in distances) for image in {*chain(*distances)}}
    for source, distance in zip(sources, distances, strict=True):
        least = min(distance.values(), default=0)
        for number, image in source.paths.items():
            if image and distance[image] > max(least, nearest[image]):
                source.paths[number] = str(source.folder / PurePosixPath(image).name)


def _sources(settings: TaskConfig, raw: Path, log: IssueLog) -> list[_LabelFile]:
    """Load the files to read, test and validation first."""
    loaded: dict[PurePosixPath, dict[str, Any]] = {}
    found = find_label_files(settings.audit, raw, lambda known: _load_coco_files(known, raw, loaded, log), {})
    loaded |= {path: _load(raw / path) for paths in found.values() for path in paths if path not in loaded}
    if settings.audit.train is None and found["validation"]:  # others may be copies, or what a model found
        found[""] += [path for path in found["train"] if not subset_of_file(str(path))]
        found["train"] = [path for path in found["train"] if path not in found[""]]
    if not found["train"] and not found["validation"]:
        hint = f" (there are {', '.join(map(str, loaded))})" if loaded else ""
        raise DataError(f"No JSON file in {raw} is named for training{hint}; name it in audit.train.")
    for path in found.pop(""):
        detail = "Its name contains no subset, so it is not read; name it in audit.train or audit.test."
        log.add("other_file", "listed", detail, None, path)
    is_named = settings.audit.test is not None
    return [
        _LabelFile(
            subset, str(path), loaded[path], subset if is_named and subset == "test" else subset_of_file(str(path))
        )
        for subset, paths in found.items()
        for path in paths
    ]


def _load_coco_files(
    known: list[PurePosixPath], raw: Path, loaded: dict[PurePosixPath, dict[str, Any]], log: IssueLog
) -> list[PurePosixPath]:
    """Load the other files in COCO's layout; list those that are not, or raise the first error where all are."""
    errors = []
    for path in files_below(raw, ".json"):
        try:
            if path not in known:
                loaded[path] = _load(raw / path)
        except DataError as error:
            errors.append(error)
            log.add("other_file", "listed", f"{str(error).replace(f'{raw}/', '')} It is not read.", None, path)
    if errors and not loaded:
        raise errors[0]
    return list(loaded)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not readable as JSON: {error}.") from None
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f"{path} has no list 'images'; it is not in COCO's layout.")
    annotations, categories = (content.get(key) or [] for key in ("annotations", "categories"))
    if annotations and not categories:
        raise DataError(f"{path} has annotations but no list 'categories'; they name no class.")
    return {"images": images, "annotations": annotations, "categories": categories}


def _id(value: Any) -> str:
    """Convert an id to text for comparison: 7, 7.0 and "7" are one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _pixels(value: Any) -> int | None:
    """Convert a stated width or height to pixels; None for anything else."""
    try:
        return int(float(value)) or None
    except (TypeError, ValueError, OverflowError):
        return None


def box_of(annotation: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the corners in pixels, or None where neither `bbox` nor `segmentation` gives any.

    A bbox without area, as converters write for an unknown one, counts only where there is no segmentation.
    """
    corners = _bbox(annotation.get("bbox"))
    if corners is None or corners[0] == corners[2] or corners[1] == corners[3]:
        corners = _outline(annotation.get("segmentation")) or corners
    return None if corners is None else dict(zip(BOX, corners, strict=True))


def _bbox(bbox: Any) -> tuple[float, ...] | None:
    """Convert x, y, width, height to corners; None for anything but four finite numbers."""
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return None
    corners = (x, y, x + width, y + height)
    return corners if all(map(math.isfinite, corners)) else None


def _outline(segmentation: Any) -> tuple[float, ...] | None:
    """Return the corners around polygons (lists of x, y, x, y, ...) or a mask ({counts, size})."""
    if isinstance(segmentation, Mapping):
        return _mask_box(segmentation)
    try:
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        points = np.concatenate([np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons])  # (N, 2)
    except (TypeError, ValueError, IndexError):
        return None
    if len(points) < 3 or not np.isfinite(points).all():  # three points make a polygon
        return None
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def _mask_box(mask: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the corners around a mask, whose counts are numbers or COCO's compressed text; None for a bad one."""
    from faster_coco_eval.core import mask as codec

    try:
        height, width = (int(value) for value in mask["size"])
        counts = mask["counts"]
        if isinstance(counts, str):
            if not re.fullmatch("[0-o]+", counts):  # the alphabet of the compressed text
                return None
            rle = {"size": [height, width], "counts": counts.encode("ascii")}
        else:
            numbers = [int(value) for value in counts]
            rle = codec.frPyObjects({"size": [height, width], "counts": numbers}, height, width)
        x, y, box_width, box_height = (float(value) for value in codec.toBbox([rle])[0])
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return (x, y, x + box_width, y + box_height) if box_width > 0 else None
