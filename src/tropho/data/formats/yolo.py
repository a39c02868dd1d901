"""YOLO: a text file an image, a row an object: class cx cy w h (or a polygon) in shares of the image."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_units import to_corners
from tropho.data.formats.csv_table import number
from tropho.data.formats.image_files import ImageFiles, unique_ids
from tropho.data.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    SUBSETS,
    IssueLog,
    Labels,
    files_below,
    in_both,
    named_files,
    nearest,
    table_of,
)
from tropho.data.formats.subset_folders import subset_of_path, unnamed_test_images
from tropho.data.formats.yolo_config import NAME_FILES, YoloConfig, find_entry, is_image_list, read_config, read_lines
from tropho.data.formats.yolo_files import LabelFiles
from tropho.errors import DataError, UsageError
from tropho.images.decode import image_size
from tropho.tables import BOX

SLACK = 0.01
"""How far, in shares of the image, a number may lie outside 0..1 by rounding."""


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the labels of the images that data.yaml, darknet's .data or lists of images name, or of all images.

    `audit.train` and `audit.test` name folders or lists of images in place of those. Where nothing names
    subsets, folders called train, val and test do. An image's labels are in labels/ beside images/, beside the
    image, or in the one text file of its name that no other image has. An image without such a file is one without
    objects, as YOLO has it, and listed; of a subset in which no image has one, the labels are unknown. An image's id
    is its file name, or its path where two share a name.

    Raises:
        UsageError: a folder or list that the settings name is not there.
        DataError: there are no training images or no labels, or the configuration can't be read.
    """
    reader = _Reader(raw, read_config(raw))
    for subset, paths in _subsets(settings, reader).items():
        for path in paths:
            reader.take(path, subset)
    return reader.labels()


def _subsets(settings: TaskConfig, reader: "_Reader") -> dict[str, list[str]]:
    """Paths of the images by subset."""
    audit, config = settings.audit, reader.config
    named: dict[str, list[str]] = {subset: [] for subset in SUBSETS}
    given = {"train": audit.train, "test": audit.test}
    for subset, entries in given.items():
        for entry in entries or []:
            path = reader.raw / entry.strip("/")
            if not path.exists():
                near = nearest(entry, reader.on_disk.folders)
                raise UsageError(f"audit.{subset}: there is no folder or list '{entry}'{near}.")
            called = subset_of_path(f"{path.relative_to(reader.raw).as_posix()}/x") if path.is_dir() else path.stem
            held_back = subset == "train" and called in {"validation", "val", "valid"}
            named["validation" if held_back else subset] += reader.images_of(path, subset)
    if audit.train is None and config.entries:
        _add_entries(named, reader, wanted=[each for each in SUBSETS if given.get(each) is None])
    elif audit.train is None:
        _add_usual(named, reader, wanted=[each for each in SUBSETS if given.get(each) is None])
    if not named["train"]:
        raise DataError(f"{reader.raw} names no training images; name their folder in audit.train.")
    if set(named["validation"]) == set(named["train"]):
        reader.notes.append("train and val name the same images; they are used for training alone.")
        named["validation"] = []
    return named


def _add_entries(named: dict[str, list[str]], reader: "_Reader", wanted: list[str]) -> None:
    """Add the images that the configuration names."""
    for subset in wanted:
        for entry in reader.config.entries.get(subset, []):
            path = find_entry(reader.raw, reader.config, entry)
            if path is None and subset == "train":
                raise DataError(f"{reader.config.file}: there is no folder or list '{entry}' of training images.")
            if path is None:
                detail = f"There is no folder or list '{entry}', which should hold {subset} images."
                reader.log.add("absent_folder", "listed", detail, None, reader.config.file)
                continue
            named[subset] += reader.images_of(path, subset)


def _add_usual(named: dict[str, list[str]], reader: "_Reader", wanted: list[str]) -> None:
    """Add the images of train.txt, val.txt and test.txt, or else of folders called so, or else all for training."""
    lists = {
        subset: [path for path in named_files(reader.raw, None, names, "") if is_image_list(path)]
        for subset, names in (
            ("train", {"train.txt"}),
            ("validation", {"val.txt", "valid.txt"}),
            ("test", {"test.txt"}),
        )
    }
    if lists["train"]:
        for subset in wanted:
            for each in lists[subset]:
                named[subset] += reader.images_of(each, subset)
        return
    subsets = {path: subset_of_path(path) for path in reader.on_disk.paths}
    rest = "" if "train" in subsets.values() else "train"
    for path, subset in subsets.items():
        if (subset or rest) in wanted:
            named[subset or rest].append(path)


class _Reader:
    """Images and boxes of one image after another."""

    def __init__(self, raw: Path, config: YoloConfig) -> None:
        self.raw, self.config, self.log = raw, config, IssueLog()
        self.notes: list[str] = []
        self.on_disk = ImageFiles(raw)
        self.texts = {
            path.relative_to(raw).as_posix()
            for path in files_below(raw, "*.[tT][xX][tT]")
            if path.name.lower() not in NAME_FILES
        }
        self.images: dict[str, str] = {}  # path -> subset
        self.boxes: list[dict[str, Any]] = []

    def images_of(self, path: Path, subset: str) -> list[str]:
        """Paths of the images in a folder, or of those that a list names."""
        below = path.relative_to(self.raw).as_posix()
        if path.is_dir():
            return [each for each in self.on_disk.paths if below == "." or each.startswith(f"{below}/")]
        self.texts.discard(below)
        home = str(PurePosixPath(below).parent)
        found = []
        for line in read_lines(path):
            match = self.on_disk.find(line, "" if home == "." else home, subset)
            if match.ambiguous:
                self.log.add("ambiguous_name", "quarantined", match.detail(line), line, below)
            else:
                found.append(match.path)
        return found

    def take(self, path: str, subset: str) -> None:
        """Add an image; one that is in several subsets belongs to the first."""
        kept = self.images.setdefault(path, subset)
        if kept != subset:
            self.log.add("in_both_subsets", "dropped", in_both(kept), PurePosixPath(path).name, path)

    def labels(self) -> Labels:
        """Read the label files of all images."""
        ids = unique_ids(self.images)
        files = LabelFiles(self.images, self.texts, self.log)
        rows = self._rows(ids, files)
        self._refuse_if_nothing_is_left()
        if not self.config.names:
            self.notes.append("No file gives the class names; classes are called by their numbers (audit.class_map).")
        if "test" not in self.images.values():
            tests, notes = unnamed_test_images(self.on_disk, self.images)
            rows, self.notes = rows + tests, self.notes + notes
        image_table, box_table = table_of(rows, LABELLED_IMAGES), table_of(self.boxes, LABELLED_BOXES)
        return Labels(image_table, box_table, self.log.table(), [], self.notes)

    def _rows(self, ids: dict[str, str], files: LabelFiles) -> list[dict[str, Any]]:
        """One entry an image (labels.LABELLED_IMAGES); raise DataError if no training image has a label file."""
        total, labelled = Counter(self.images.values()), Counter(self.images[path] for path in files.of)
        if not labelled["train"]:
            raise DataError(
                f"No label file belongs to any of the {total['train']:,} training images; labels are looked for in "
                "labels/ beside images/ and beside each image, as a .txt of the image's name."
            )
        rows, without = [], 0
        for path, subset in self.images.items():
            row = {"image_id": ids[path], "path": path, "subset": subset, "status": "ok"}
            rows.append(row)
            if path in files.of:
                row["status"] = self._read(files.of[path], path, ids[path])
            elif path in files.disputed or (not labelled[subset] and subset != "test"):
                row["status"] = "unlabelled"
                self.log.add("unlabelled", "quarantined", "It has no label file of its own.", ids[path], path)
            elif labelled[subset] and path in self.on_disk:
                without += 1
                detail = "It has no label file, so it is read as an image without objects."
                self.log.add("no_label_file", "listed", detail, ids[path], path)
        if without:
            self.notes.append(f"{without:,} images have no label file and are read as images without objects.")
        return rows

    def _refuse_if_nothing_is_left(self) -> None:
        """Stop where no row of any file can be used: the reason is the same for all."""
        faults = [each for each in self.log.rows if each["kind"] == "bad_row"]
        if faults and not self.boxes:
            where = f"{faults[0]['file']}, row {faults[0]['row']}"
            raise DataError(f"None of the {len(faults):,} rows can be used; {where}: {faults[0]['detail']}")

    def _read(self, file: str, path: str, image_id: str) -> str:
        """Add the boxes of a label file; return the image's status."""
        try:
            lines = (self.raw / file).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            self.log.add("bad_annotation", "quarantined", "The label file is not text in UTF-8.", image_id, file)
            return "unlabelled"
        try:
            size = image_size(self.raw / path)
        except DataError:
            return "unlabelled"  # the audit says why
        usable = bad = 0
        for line, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                label, corners = _object(text.split(), self.config)
            except ValueError as error:
                bad += 1
                self.log.add("bad_row", "quarantined", f"{error}.", image_id, file, line)
                continue
            usable += 1
            box = dict(zip(BOX, np.round(corners * np.tile(size, 2), 6).tolist(), strict=True))
            self.boxes.append({"image_id": image_id, "label": label, "file": file, "row": line, **box})
        if bad and not usable:
            self.log.add("unlabelled", "quarantined", "None of its rows can be used.", image_id, file)
            return "unlabelled"
        return "ok"


def _object(cells: list[str], config: YoloConfig) -> tuple[str, np.ndarray]:
    """One row -> class and corners (4,) in shares; raise ValueError with the reason why it can't be used."""
    values = [number(cell) for cell in cells]
    if any(value is None for value in values):
        raise ValueError(f"'{' '.join(cells)[:60]}' holds what is not a number")
    numbers = np.array(values, np.float64)
    if config.keypoints and len(numbers) == 5 + config.keypoints:
        numbers = numbers[:5]
    if len(numbers) < 5 or (len(numbers) > 6 and len(numbers) % 2 == 0):
        raise ValueError(f"{len(numbers)} numbers are neither class cx cy w h nor a class and a polygon")
    if numbers[0] < 0 or numbers[0] % 1:
        raise ValueError(f"The class number is {cells[0]}")
    label = config.names.get(int(numbers[0])) if config.names else str(int(numbers[0]))
    if label is None:
        raise ValueError(f"Class {cells[0]} is not among the {len(config.names)} class names, which begin at 0")
    shares = numbers[1:5] if len(numbers) <= 6 else numbers[1:]  # a sixth number is the confidence of a prediction
    outside = shares[(shares < -SLACK) | (shares > 1 + SLACK)]
    if len(outside):
        raise ValueError(f"{outside[0]:g} is not a share of the image from 0 to 1")
    if len(numbers) > 6:
        points = shares.reshape(-1, 2)
        return label, np.concatenate([points.min(axis=0), points.max(axis=0)])
    if not (shares[2:] > 0).all():
        raise ValueError(f"The box has the width {shares[2]:g} and the height {shares[3]:g}")
    return label, to_corners(shares[None], "cxcywh")[0]
