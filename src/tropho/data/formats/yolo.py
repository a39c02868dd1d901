"""Read YOLO: a text file an image, a row an object: class cx cy w h (or a polygon) as fractions of the image."""

from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_units import to_corners
from tropho.data.formats.image_files import NamedFiles, subset_of_path, unique_ids
from tropho.data.formats.label_collector import (
    SUBSETS,
    VALIDATION,
    IssueLog,
    LabelCollector,
    Labels,
    files_below,
    named_files,
    read_lines,
)
from tropho.data.formats.yolo_config import NAME_FILES, YoloConfig, find_entry, is_image_list, read_config
from tropho.errors import DataError, UsageError, suggestion
from tropho.images.decode import image_size
from tropho.tables import BOX, parse_number

TOLERANCE = 0.01  # how far, as a fraction of the image, a number may lie outside 0..1 by rounding


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the images of each subset and their label files; docs/label_formats.md has the rules."""
    return _Reader(settings, raw).read()


class _Reader(LabelCollector):
    """Read the images of every subset, then the label files."""

    def __init__(self, settings: TaskConfig, raw: Path) -> None:
        super().__init__(raw)
        self.config = read_config(raw)
        self.given = {"train": settings.audit.train, "test": settings.audit.test}
        self.texts = {str(path) for path in files_below(raw, ".txt") if path.name.lower() not in NAME_FILES}

    def read(self) -> Labels:
        """Read everything; raise DataError if no training image has a label file, or no row can be used."""
        named = self._subsets()
        ids = unique_ids(path for paths in named.values() for path in paths)
        for subset, paths in named.items():
            for path in paths:
                self.add_image(ids[path], path, subset, path)
        self._read_label_files()
        bad_rows = [issue for issue in self.log.rows if issue["kind"] == "bad_row"]
        if bad_rows and not self.boxes:
            where = f"{bad_rows[0]['file']}, row {bad_rows[0]['row']}"
            raise DataError(f"None of the {len(bad_rows):,} rows can be used; {where}: {bad_rows[0]['detail']}")
        if not self.config.names:
            self.notes.append("No file gives the class names; classes are called by their numbers (audit.class_map).")
        if not any(entry["subset"] == "test" for entry in self.images.values()):
            self.add_unnamed_tests()
        return self.labels()

    def _subsets(self) -> dict[str, list[str]]:
        """Return the paths of the images by subset."""
        named: dict[str, list[str]] = {subset: [] for subset in SUBSETS}
        for subset, entries in self.given.items():
            for entry in entries or []:
                path = self.raw / entry.strip("/")
                if not path.exists():
                    hint = suggestion(entry, self.on_disk.folders)
                    raise UsageError(f"audit.{subset}: there is no folder or list '{entry}'{hint}.")
                is_folder = path.is_dir()
                name = subset_of_path(f"{path.relative_to(self.raw).as_posix()}/x") if is_folder else path.stem
                is_validation = subset == "train" and name in VALIDATION
                named["validation" if is_validation else subset] += self._images_of(path, subset)
        wanted = [subset for subset in SUBSETS if self.given.get(subset) is None]
        if self.given["train"] is None:
            self._add_configured(named, wanted) if self.config.entries else self._add_usual(named, wanted)
        if not named["train"]:
            raise DataError(f"{self.raw} names no training images; name their folder in audit.train.")
        if set(named["validation"]) == set(named["train"]):
            self.notes.append("train and val name the same images; they are used for training alone.")
            named["validation"] = []
        return named

    def _add_configured(self, named: dict[str, list[str]], wanted: list[str]) -> None:
        """Add the images that the configuration names."""
        for subset in wanted:
            for entry in self.config.entries.get(subset, []):
                path = find_entry(self.raw, self.config, entry)
                if path is not None:
                    named[subset] += self._images_of(path, subset)
                elif subset == "train":
                    raise DataError(f"{self.config.file}: there is no folder or list '{entry}' of training images.")
                else:
                    detail = f"There is no folder or list '{entry}', which should hold {subset} images."
                    self.log.add("absent_folder", "listed", detail, None, self.config.file)

    def _add_usual(self, named: dict[str, list[str]], wanted: list[str]) -> None:
        """Add the images of train.txt, val.txt and test.txt, or else of folders called so, or else all for training."""
        names = {"train": {"train.txt"}, "validation": {"val.txt", "valid.txt"}, "test": {"test.txt"}}
        found = {key: [self.raw / path for path in named_files(self.raw, None, names[key], "")] for key in names}
        lists = {key: list(filter(is_image_list, paths)) for key, paths in found.items()}
        if lists["train"]:
            for subset in wanted:
                for path in lists[subset]:
                    named[subset] += self._images_of(path, subset)
            return
        subsets = {path: subset_of_path(path) for path in self.on_disk.paths}
        default = "" if "train" in subsets.values() else "train"
        for image, subset in subsets.items():
            if (subset or default) in wanted:
                named[subset or default].append(image)

    def _images_of(self, path: Path, subset: str) -> list[str]:
        """Return the paths of the images in a folder, or of those that a list names."""
        below = path.relative_to(self.raw).as_posix()
        if path.is_dir():
            return [image for image in self.on_disk.paths if below == "." or image.startswith(f"{below}/")]
        self.texts.discard(below)
        matches = [self.find_image(line, str(PurePosixPath(below).parent), subset, below) for line in read_lines(path)]
        return [match.path for match in matches if not match.ambiguous]

    def _read_label_files(self) -> None:
        subsets = {path: entry["subset"] for path, entry in self.images.items()}
        files, disputed = match_label_files(subsets, self.texts, self.log)
        total, labelled = Counter(subsets.values()), Counter(subsets[path] for path in files)
        if not labelled["train"]:
            raise DataError(
                f"No label file belongs to any of the {total['train']:,} training images; labels are looked for in "
                "labels/ beside images/ and beside each image, as a .txt of the image's name."
            )
        n_without = 0
        for path, entry in self.images.items():
            subset = entry["subset"]
            if path in files:
                self._read_boxes(entry, files[path])
            elif path in disputed or (not labelled[subset] and subset != "test"):
                self.mark_unlabelled(entry, "It has no label file of its own.", file=path)
            elif labelled[subset] and path in self.on_disk:
                n_without += 1
                detail = "It has no label file, so it is read as an image without objects."
                self.log.add("no_label_file", "listed", detail, entry["image_id"], path)
        if n_without:
            self.notes.append(f"Images without a label file, which are read as images without objects: {n_without:,}.")

    def _read_boxes(self, entry: dict[str, Any], file: str) -> None:
        try:
            size = image_size(self.raw / entry["path"])
        except DataError:
            entry["status"] = "unlabelled"  # the audit says why
            return

        def parse(cells: list[str]) -> dict[str, Any]:
            label, corners = _parse_row(cells, self.config)
            return {"label": label, **dict(zip(BOX, np.round(corners * np.tile(size, 2), 6).tolist(), strict=True))}

        self.add_text_rows(entry, file, parse)


def match_label_files(images: dict[str, str], texts: set[str], log: IssueLog) -> tuple[dict[str, str], set[str]]:
    """Find the label file of each image: in its usual place, or else the one free text file of its name.

    Ambiguous names, and label files that belong to no image, are logged. Returns the label file by path of the image,
    and the images whose label file is ambiguous.
    """
    disputed: set[str] = set()
    claims: dict[str, list[str]] = defaultdict(list)  # label file -> images
    for path in images:
        file = next((place for place in _usual_places(path) if place in texts), None)
        if file:
            claims[file].append(path)
    matched = {path for paths in claims.values() for path in paths}
    free = NamedFiles(texts - set(claims))
    for path in [path for path in images if path not in matched]:
        name = f"{PurePosixPath(path).stem}.txt"
        match = free.find(name, str(PurePosixPath(path).parent), images[path])
        if match.ambiguous:
            disputed.add(path)
            log.add("ambiguous_name", "quarantined", match.detail(name), None, path)
        elif match.found:
            claims[match.path].append(path)
    for file, paths in claims.items():
        if len(paths) > 1:
            disputed.update(paths)
            detail = f"{paths[0]} and {paths[1]} have this label file in common; it is used for neither."
            log.add("ambiguous_name", "quarantined", detail, None, file)
    for file in sorted(texts - set(claims)):
        if "labels" in PurePosixPath(file).parts:
            log.add("no_image_file", "quarantined", "No image belongs to this label file.", None, file)
    return {paths[0]: file for file, paths in claims.items() if len(paths) == 1}, disputed


def _usual_places(path: str) -> list[str]:
    """Return where YOLO tools keep an image's labels: labels/ in the place of the last images/, or beside it."""
    parts = list(PurePosixPath(path).with_suffix(".txt").parts)
    beside = "/".join(parts)
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"]
    if places:
        parts[places[-1]] = "labels"
    return ["/".join(parts), beside]


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
