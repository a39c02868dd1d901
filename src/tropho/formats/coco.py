"""COCO: JSON files with `images`, `annotations` (bbox = x, y, width, height) and `categories`."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.errors import DataError
from tropho.formats.image_files import ImageFiles
from tropho.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    SUBSETS,
    IssueLog,
    Labels,
    in_both,
    named_files,
    table_of,
)
from tropho.settings import TaskSettings
from tropho.tables import BOX


def read(settings: TaskSettings, raw: Path) -> Labels:
    """Labels of the JSON files that the settings name, or that are named for their subset.

    By default a file whose name (or else folder) contains `test` is test, `train` is train, `val` is the published
    validation set; a single file of another name is train. Files that `audit.train` names are train, or validation
    where they are so called. An image's id is its file name, or its path where two share a name. Crowd
    regions are listed and not used.

    Raises:
        DataError: there is no training file, or a file is not COCO.
    """
    files = _files(settings, raw)
    on_disk, log = ImageFiles(raw), IssueLog()
    contents = [(subset, path, _load(path)) for subset, path in files]
    name_image = _namer(raw, contents, on_disk)
    images: dict[str, dict[str, Any]] = {}
    boxes: list[dict[str, Any]] = []
    for subset, path, content in contents:
        file = path.relative_to(raw).as_posix()
        try:
            by_number = _images(subset, path, content, raw, on_disk, name_image, images, log)
            boxes += _boxes(content, by_number, file, log)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file} is not in COCO's layout: {type(error).__name__} {error}.") from None
    return Labels(table_of(images.values(), LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES), log.table(), [])


def _files(settings: TaskSettings, raw: Path) -> list[tuple[str, Path]]:
    """(subset, file) pairs, test and validation first."""
    train, test = settings.audit.train, settings.audit.test
    found: dict[str, list[Path]] = {"test": [], "validation": [], "train": [], "other": []}
    for path in sorted(raw.rglob("*.json")):
        found[_subset_of(path, raw)].append(path)
    if test is not None:
        found["test"] = named_files(raw, test, set(), "audit.test")
    if train is not None:
        named = named_files(raw, train, set(), "audit.train")
        found["validation"] = [path for path in named if _subset_of(path, raw) == "validation"]
        found["train"] = [path for path in named if path not in found["validation"]]
    elif not found["train"] and not found["validation"] and len(found["other"]) == 1:
        found["train"] = found["other"]
    if not found["train"] and not found["validation"]:
        raise DataError(f"No JSON file in {raw} is named for training; name it in audit.train.")
    return [(subset, path) for subset in SUBSETS for path in found[subset]]


def _subset_of(path: Path, raw: Path) -> str:
    relative = path.relative_to(raw)
    for word in (path.stem.lower(), relative.parent.name.lower()):
        if "test" in word:
            return "test"
        if "train" in word:
            return "train"
        if "val" in word:
            return "validation"
    return "other"


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not readable as JSON: {error}.") from None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DataError(f"{path} has no list 'images'; it is not in COCO's layout.")
    return content


def _namer(raw: Path, contents: list[tuple[str, Path, dict[str, Any]]], on_disk: ImageFiles) -> Callable[[str], str]:
    """A function from an image's path to its id: the file name, or the path where names are shared."""
    paths = {
        on_disk.locate(str(image.get("file_name")), path.relative_to(raw).parent.as_posix())
        for _, path, content in contents
        for image in content["images"]
        if isinstance(image, dict)
    }
    counts = Counter(PurePosixPath(path).name for path in paths)
    return lambda path: path if counts[PurePosixPath(path).name] > 1 else PurePosixPath(path).name


def _images(
    subset: str,
    file: Path,
    content: dict[str, Any],
    raw: Path,
    on_disk: ImageFiles,
    name_image: Callable[[str], str],
    images: dict[str, dict[str, Any]],
    log: IssueLog,
) -> dict[Any, str]:
    """Add a file's images to `images`; return their ids by COCO's number, of this subset alone."""
    numbers = {}
    place = file.relative_to(raw)
    for image in content["images"]:
        path = on_disk.locate(str(image["file_name"]), place.parent.as_posix())
        image_id = name_image(path)
        entry = {"image_id": image_id, "path": path, "subset": subset, "status": "ok"}
        size = {"stated_width": image.get("width") or None, "stated_height": image.get("height") or None}
        if (kept := images.setdefault(image_id, {**entry, **size})["subset"]) != subset:
            log.add("in_both_subsets", "dropped", in_both(kept), image_id, place.as_posix())
            continue
        numbers[image["id"]] = image_id
    return numbers


def _boxes(content: dict[str, Any], images: dict[Any, str], file: str, log: IssueLog) -> list[dict[str, Any]]:
    names = {category["id"]: str(category["name"]) for category in content.get("categories", [])}
    every = {image["id"] for image in content["images"]}
    boxes = []
    for annotation in content.get("annotations", []):
        image_id = images.get(annotation["image_id"])
        which = f"Annotation {annotation.get('id')}"
        if image_id is None:
            if annotation["image_id"] not in every:
                log.add(
                    "bad_row",
                    "quarantined",
                    f"{which} is of image {annotation['image_id']}, unknown.",
                    "",
                    file,
                )
            continue
        corners = _corners(annotation.get("bbox"))
        label = names.get(annotation.get("category_id"))
        if label is None or corners is None:
            what = "an unknown category" if label is None else f"the bbox {annotation.get('bbox')}"
            log.add("bad_row", "quarantined", f"{which} has {what}.", image_id, file)
        elif annotation.get("iscrowd"):
            log.add("crowd", "dropped", f"{which} marks a crowd, not one {label}.", image_id, file)
        else:
            boxes.append({"image_id": image_id, "label": label, "file": file, **corners})
    return boxes


def _corners(bbox: Any) -> dict[str, float] | None:
    """x, y, width, height -> corners, or None for what is not four finite numbers."""
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return None
    values = (x, y, x + width, y + height)
    return dict(zip(BOX, values, strict=True)) if all(map(math.isfinite, values)) else None
