"""COCO: JSON files with `images`, `annotations` (bbox = x, y, width, height) and `categories`."""

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.formats.coco_boxes import box_of
from tropho.data.formats.image_files import ImageFiles, climb, subset_of, unique_ids, words_of
from tropho.data.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    SUBSETS,
    IssueLog,
    Labels,
    files_below,
    in_both,
    named_files,
    table_of,
)
from tropho.errors import DataError


@dataclass
class _LabelFile:
    """A COCO file as loaded, and the images that its numbers stand for."""

    subset: str
    file: str
    """Posix path below the data set."""
    content: dict[str, Any]
    searched: str = ""
    """The subset in whose folders its images are looked for first; "" where the file says none."""
    paths: dict[str, str | None] = field(default_factory=dict)
    """Path of the image by COCO's number, as text; None where it can't be told."""


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Labels of the JSON files that the settings name, or that are named for their subset.

    By default a file whose name (or else folder) speaks of test is test, of train is train, of val is the published
    validation set; a single file of another name is train. Files that `audit.train` names are train, or validation
    where they are so called. JSON of other layouts is listed and passed over. An image's id is its file name, or its
    path where two share a name. An annotation without a bbox has the box of its polygons or mask. Crowds are ignored
    regions. An image none of whose annotations can be used is unlabelled.

    Raises:
        DataError: there is no training file, or a file is not COCO.
    """
    log = IssueLog()
    reader = _Reader(ImageFiles(raw), log)
    sources = _sources(settings, raw, log)
    try:
        for source in sources:
            file = source.file
            reader.find_images(source)
        _disown_far_images(sources)
        ids = unique_ids(path for source in sources for path in source.paths.values() if path)
        for source in sources:
            file = source.file
            reader.take_images(source, ids)
            reader.take_boxes(source, ids)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{file} is not in COCO's layout: {type(error).__name__} {error}.") from None
    reader.set_status()
    images, boxes = table_of(reader.images.values(), LABELLED_IMAGES), table_of(reader.boxes, LABELLED_BOXES)
    return Labels(images, boxes, log.table(), [])


class _Reader:
    """Images and boxes of one file after another; an image is known by its path."""

    def __init__(self, on_disk: ImageFiles, log: IssueLog) -> None:
        self.on_disk, self.log = on_disk, log
        self.images: dict[str, dict[str, Any]] = {}
        self.boxes: list[dict[str, Any]] = []
        self.annotated: set[str] = set()
        """image_ids that annotations speak of, usable or not."""

    def find_images(self, source: _LabelFile) -> None:
        """Fill `source.paths`; names and numbers that stand for several images are quarantined."""
        folder = PurePosixPath(source.file).parent.as_posix()
        names: dict[str, str] = {}
        for image in source.content["images"]:
            number, name = _number(image["id"]), str(image["file_name"])
            match = self.on_disk.find(name, folder, source.searched)
            path = None if match.ambiguous else match.path
            if match.ambiguous:
                self.log.add("ambiguous_name", "quarantined", match.detail(name), name, source.file)
            if source.paths.setdefault(number, path) != path:
                detail = (
                    f"The id {number} is that of {source.paths[number]} and {path}; its labels are used for neither."
                )
                self.log.add("ambiguous_name", "quarantined", detail, name, source.file)
                source.paths[number] = None
            elif path and names.setdefault(path, name) != name:
                detail = f"'{name}' and '{names[path]}' both mean {path}; their labels are not used."
                self.log.add("ambiguous_name", "quarantined", detail, name, source.file)
                source.paths = {each: None if found == path else found for each, found in source.paths.items()}

    def take_images(self, source: _LabelFile, ids: dict[str, str]) -> None:
        """Add the file's images; those of another subset are taken out of `source.paths`."""
        for image in source.content["images"]:
            number = _number(image["id"])
            path = source.paths[number]
            if path is None:
                continue
            entry = {"image_id": ids[path], "path": path, "subset": source.subset, "status": "ok"}
            size = {"stated_width": _pixels(image.get("width")), "stated_height": _pixels(image.get("height"))}
            if (kept := self.images.setdefault(path, {**entry, **size})["subset"]) != source.subset:
                self.log.add("in_both_subsets", "dropped", in_both(kept), ids[path], source.file)
                source.paths[number] = None

    def take_boxes(self, source: _LabelFile, ids: dict[str, str]) -> None:
        """Add the boxes of the file's annotations; those that can't be used are quarantined."""
        names = {_number(each["id"]): str(each["name"]).strip() for each in source.content.get("categories") or []}
        for annotation in source.content.get("annotations") or []:
            number, which = _number(annotation.get("image_id")), f"Annotation {annotation.get('id')}"
            if number not in source.paths:
                detail = f"{which} is of image {number}, unknown."
                self.log.add("bad_row", "quarantined", detail, None, source.file)
                continue
            path = source.paths[number]
            if path is None:
                continue
            self.annotated.add(ids[path])
            label, corners = names.get(_number(annotation.get("category_id"))), box_of(annotation)
            if not label or corners is None:
                what = "a category that is not in the file's list" if not label else "neither a box nor an outline"
                self.log.add("bad_row", "quarantined", f"{which} has {what}.", ids[path], source.file)
                continue
            ignore = str(annotation.get("iscrowd")).lower() in {"1", "1.0", "true"}
            if ignore:
                detail = f"{which} marks a crowd, not one {label}; the region is ignored."
                self.log.add("crowd", "ignored", detail, ids[path], source.file)
            place = {"image_id": ids[path], "label": label, "file": source.file}
            self.boxes.append({**place, **corners, "ignore": ignore})

    def set_status(self) -> None:
        """Mark images as unlabelled none of whose annotations can be used."""
        boxed = {box["image_id"] for box in self.boxes}
        for entry in self.images.values():
            if entry["image_id"] in self.annotated - boxed:
                entry["status"] = "unlabelled"
                detail = "None of its annotations can be used, so its labels are unknown."
                self.log.add("unlabelled", "quarantined", detail, entry["image_id"])


def _disown_far_images(sources: list[_LabelFile]) -> None:
    """Count an image as missing that a file found farther off than its others, and that a nearer file names too.

    Of two jobs with equal names, the one that lacks an image would else get the other's.
    """
    folders = [PurePosixPath(source.file).parent for source in sources]
    far = [
        {path: climb(str(folder), path) for path in source.paths.values() if path}
        for source, folder in zip(sources, folders, strict=True)
    ]
    nearest: dict[str, int] = {}
    for distances in far:
        for path, distance in distances.items():
            nearest[path] = min(distance, nearest.get(path, distance))
    for source, folder, distances in zip(sources, folders, far, strict=True):
        own = min(distances.values(), default=0)
        for number, found in source.paths.items():
            if found and distances[found] > max(own, nearest[found]):
                source.paths[number] = str(folder / PurePosixPath(found).name)


def _sources(settings: TaskConfig, raw: Path, log: IssueLog) -> list[_LabelFile]:
    """The files to read, test and validation first."""
    train, test = settings.audit.train, settings.audit.test
    tests = named_files(raw, test or [], set(), "audit.test")
    trains = named_files(raw, train or [], set(), "audit.train")
    others = [path for path in files_below(raw, "*.[jJ][sS][oO][nN]") if path not in (*tests, *trains)]
    loaded = {path: _load(path) for path in (*tests, *trains)}
    if test is None or train is None:
        loaded |= _coco_files(others, raw, log)
    found: dict[str, list[Path]] = {"test": tests, "validation": [], "train": [], "": []}
    for path in loaded:
        subset = _subset_of(path, raw)
        if path in trains:
            found["validation" if subset == "validation" else "train"].append(path)
        elif path not in tests and (train if subset != "test" else test) is None:
            found[subset].append(path)
    if train is None and not found["train"] and not found["validation"] and len(found[""]) == 1:
        found["train"] = found.pop("")
    if not found["train"] and not found["validation"]:
        names = ", ".join(path.relative_to(raw).as_posix() for path in loaded)
        there = f" (there are {names})" if names else ""
        raise DataError(f"No JSON file in {raw} is named for training{there}; name it in audit.train.")
    for path in found.get("", []):
        detail = "Its name speaks of no subset, so it is not read; name it in audit.train or audit.test."
        log.add("other_file", "listed", detail, None, path.relative_to(raw).as_posix())
    return [
        _LabelFile(subset, path.relative_to(raw).as_posix(), loaded[path], subset if path in tests else _searched(path))
        for subset in SUBSETS
        for path in found[subset]
    ]


def _coco_files(paths: list[Path], raw: Path, log: IssueLog) -> dict[Path, dict[str, Any]]:
    """Those in COCO's layout as loaded; others are listed, or refused where there is nothing else."""
    loaded, faults = {}, []
    for path in paths:
        try:
            loaded[path] = _load(path)
        except DataError as error:
            faults.append(error)
            detail = f"{str(error).replace(f'{raw}/', '')} It is not read."
            log.add("other_file", "listed", detail, None, path.relative_to(raw).as_posix())
    if faults and not loaded:
        raise faults[0]
    return loaded


def _subset_of(path: Path, raw: Path) -> str:
    """The subset that a file's name, or else its folder's, speaks of, also as the beginning of a word; "" for none."""
    for name in (path.stem, path.relative_to(raw).parent.name):
        for word in words_of(name):
            for start, subset in (("test", "test"), ("train", "train"), ("val", "validation")):
                if word.startswith(start) and not word.startswith("valu"):
                    return subset
    return ""


def _searched(path: Path) -> str:
    return subset_of(path.stem) or subset_of(path.parent.name)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not readable as JSON: {error}.") from None
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f"{path} has no list 'images'; it is not in COCO's layout.")
    if content.get("annotations") and not content.get("categories"):
        raise DataError(f"{path} has annotations but no list 'categories'; they name no class.")
    return content


def _number(value: Any) -> str:
    """An id as it is compared: 7, 7.0 and "7" are one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _pixels(value: Any) -> int | None:
    """A stated width or height; None where none, or nothing sensible, is stated."""
    try:
        return int(float(value)) or None
    except (TypeError, ValueError, OverflowError):
        return None
