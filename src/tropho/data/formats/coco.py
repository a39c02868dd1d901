"""Read COCO: JSON files with `images`, `annotations` (bbox = x, y, width, height) and `categories`."""

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.formats.coco_boxes import box_of
from tropho.data.formats.image_files import unique_ids
from tropho.data.formats.labels import SUBSETS, IssueLog, LabelCollector, Labels, files_below, named_files
from tropho.data.formats.name_search import climb, subset_of, words_of
from tropho.errors import DataError


@dataclass
class _LabelFile:
    """A COCO file."""

    subset: str  # train | validation | test
    file: str  # posix path below the data set
    content: dict[str, Any]  # the JSON
    searched: str  # the subset whose folders are searched first for the images; "" where the file names none
    # path of the image by COCO's image id, as text; None where it is ambiguous
    paths: dict[str, str | None] = field(default_factory=dict)


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the JSON files of each subset; docs/label_formats.md has the rules.

    Raises:
        DataError: there is no training file, or a file is not COCO.
    """
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
        if entry["image_id"] in reader.annotated - with_box:
            reader.mark_unlabelled(entry, "None of its annotations can be used, so its labels are unknown.")
    return reader.labels()


class _Reader(LabelCollector):
    """Read one file after another.

    Attributes:
        annotated: image_ids that have annotations, usable or not.
    """

    def __init__(self, raw: Path) -> None:
        super().__init__(raw)
        self.annotated: set[str] = set()

    def find_images(self, source: _LabelFile) -> None:
        """Fill `source.paths`; log names and ids that stand for several images."""
        folder = PurePosixPath(source.file).parent.as_posix()
        names: dict[str, str] = {}
        for image in source.content["images"]:
            number, name = _id(image["id"]), str(image["file_name"])
            match = self.find_image(name, folder, source.searched, source.file)
            path = None if match.ambiguous else match.path
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
        names = {_id(category["id"]): str(category["name"]).strip() for category in _list(source, "categories")}
        for annotation in _list(source, "annotations"):
            number, name = _id(annotation.get("image_id")), f"Annotation {annotation.get('id')}"
            if number not in source.paths:
                detail = f"{name} is of image {number}, unknown."
                self.log.add("bad_row", "quarantined", detail, None, source.file)
                continue
            path = source.paths[number]
            if path is None:
                continue
            self.annotated.add(ids[path])
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
    folders = [PurePosixPath(source.file).parent for source in sources]
    distances = [
        {path: climb(str(folder), path) for path in source.paths.values() if path}
        for source, folder in zip(sources, folders, strict=True)
    ]
    nearest: dict[str, int] = {}
    for by_path in distances:
        for path, distance in by_path.items():
            nearest[path] = min(distance, nearest.get(path, distance))
    for source, folder, by_path in zip(sources, folders, distances, strict=True):
        least = min(by_path.values(), default=0)
        for number, image in source.paths.items():
            if image and by_path[image] > max(least, nearest[image]):
                source.paths[number] = str(folder / PurePosixPath(image).name)


def _sources(settings: TaskConfig, raw: Path, log: IssueLog) -> list[_LabelFile]:
    """Load the files to read, test and validation first."""
    train, test = settings.audit.train, settings.audit.test
    tests = named_files(raw, test or [], set(), "audit.test")
    trains = named_files(raw, train or [], set(), "audit.train")
    loaded = {path: _load(path) for path in (*tests, *trains)}
    if test is None or train is None:
        others = [path for path in files_below(raw, "*.[jJ][sS][oO][nN]") if path not in loaded]
        loaded |= _load_coco_files(others, raw, log)
    files: dict[str, list[Path]] = {"test": tests, "validation": [], "train": [], "": []}
    for path in loaded:
        subset = _subset_of(path, raw)
        if path in trains:
            files["validation" if subset == "validation" else "train"].append(path)
        elif path not in tests and (train if subset != "test" else test) is None:
            files[subset].append(path)
    if train is None and not files["train"] and not files["validation"] and len(files[""]) == 1:
        files["train"] = files.pop("")
    if not files["train"] and not files["validation"]:
        names = ", ".join(path.relative_to(raw).as_posix() for path in loaded)
        hint = f" (there are {names})" if names else ""
        raise DataError(f"No JSON file in {raw} is named for training{hint}; name it in audit.train.")
    for path in files.get("", []):
        detail = "Its name contains no subset, so it is not read; name it in audit.train or audit.test."
        log.add("other_file", "listed", detail, None, path.relative_to(raw).as_posix())
    sources = []
    for subset in SUBSETS:
        for path in files[subset]:
            searched = subset if path in tests else subset_of(path.stem) or subset_of(path.parent.name)
            sources.append(_LabelFile(subset, path.relative_to(raw).as_posix(), loaded[path], searched))
    return sources


def _load_coco_files(paths: list[Path], raw: Path, log: IssueLog) -> dict[Path, dict[str, Any]]:
    """Load the files in COCO's layout; list the others, or raise the first error where there is nothing else."""
    loaded, errors = {}, []
    for path in paths:
        try:
            loaded[path] = _load(path)
        except DataError as error:
            errors.append(error)
            detail = f"{str(error).replace(f'{raw}/', '')} It is not read."
            log.add("other_file", "listed", detail, None, path.relative_to(raw).as_posix())
    if errors and not loaded:
        raise errors[0]
    return loaded


def _subset_of(path: Path, raw: Path) -> str:
    """Return the subset that a word of a file's name, or else of its folder's, begins with; "" for none."""
    for name in (path.stem, path.relative_to(raw).parent.name):
        for word in words_of(name):
            for start, subset in (("test", "test"), ("train", "train"), ("val", "validation")):
                if word.startswith(start) and not word.startswith("valu"):
                    return subset
    return ""


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


def _list(source: _LabelFile, key: str) -> list[Any]:
    return source.content.get(key) or []


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
