"""Pascal VOC: Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,trainval,test}.txt; or XML beside each image.

Coordinates are taken as written: the original data count pixels from 1, most tools since from 0, and no file
says which.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import ImageFiles, Match, NamedFiles, unique_ids
from tropho.data.formats.labels import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    VALIDATION,
    IssueLog,
    Labels,
    files_below,
    in_both,
    named_files,
    table_of,
)
from tropho.data.formats.subset_folders import subset_of_path, unnamed_test_images
from tropho.data.formats.voc_xml import Annotation, read_annotation
from tropho.errors import DataError
from tropho.images.file_types import is_image_name

_XML = "*.[xX][mM][lL]"
_FLAG = re.compile(r"\s+-?[01]$")
"""What per-class split files have behind each image's name: whether the class is in it."""


class _Named(NamedTuple):
    """An image that a split file names, and its annotation."""

    image: Match
    xml: Match


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Labels of the images that the split files name; without split files, of every annotation.

    Without a folder Annotations, or where folders called train, val and test have one each, every XML file is an
    annotation. Where no split file says it, such folders tell an annotation's subset, and all others are for
    training. `audit.train` and `audit.test` name split files below the folder that holds Annotations/. By default train
    is trainval.txt, or train.txt and val.txt; those of it that val.txt names are the published validation set, as
    are those of a file val.txt, valid.txt or validation.txt in `audit.train`. A training image without a readable
    annotation is unlabelled, and so is a test image, unless the whole test set has none. An image's id is its file
    name, or its path where two share a name.

    Raises:
        DataError: there are no XML files, or several folders Annotations.
    """
    reader = _Reader(raw)
    named = {subset: reader.resolve(names, subset) for subset, names in _subsets(settings, reader).items()}
    ids = unique_ids(each.image.path for several in named.values() for each in several)
    for subset, several in named.items():
        labelled = subset != "test" or any(each.xml.candidates for each in several)
        for each in several:
            reader.take(each, ids[each.image.path], subset, labelled)
    tests: list[dict[str, Any]] = []
    notes: list[str] = []
    if settings.audit.test is None and not named["test"]:
        tests, notes = unnamed_test_images(reader.on_disk, reader.images)
    images = table_of([*reader.images.values(), *tests], LABELLED_IMAGES)
    return Labels(images, table_of(reader.boxes, LABELLED_BOXES), reader.log.table(), [], notes)


class _Reader:
    """Images and boxes of one image after another; an image is known by its path."""

    def __init__(self, raw: Path) -> None:
        annotations, self.root = _annotations(raw)
        self.raw, self.log = raw, IssueLog()
        self.on_disk = ImageFiles(raw)
        xmls = files_below(annotations, _XML)
        self.xmls = NamedFiles(path.relative_to(raw).as_posix() for path in xmls)
        self.home = annotations.relative_to(raw).as_posix()
        self.images: dict[str, dict[str, Any]] = {}
        self.boxes: list[dict[str, Any]] = []

    def is_known(self, name: str) -> bool:
        """Whether an image or an annotation answers to the name."""
        return bool(self.on_disk.find(name, self.home).candidates or self.xmls.find(_bare(name), self.home).candidates)

    def resolve(self, names: list[str], subset: str) -> list[_Named]:
        """The images that a subset's split files name; ambiguous names are quarantined."""
        searched = subset if subset == "test" else ""
        found = []
        for name in names:
            each = self.find(name, searched)
            for match in each:
                if match.ambiguous:
                    self.log.add("ambiguous_name", "quarantined", match.detail(name), name)
            if not each.image.ambiguous and not each.xml.ambiguous:
                found.append(each)
        return found

    def find(self, name: str, subset: str) -> _Named:
        """The image and the annotation of a name; the image may be found by the name that its annotation states."""
        own = self.xmls.find(name) if name in self.xmls else None
        folder = str(PurePosixPath(name).parent) if own else self.home
        image = self.on_disk.find(_bare(name) if own else name, folder, subset)
        beside = str(PurePosixPath(image.path).parent) if image.found else self.home
        xml = own or self.xmls.find(PurePosixPath(image.path).stem if image.found else _bare(name), beside)
        if xml.found and not image.found:
            stated = read_annotation(self.raw / xml.path).filename
            by_content = self.on_disk.find(stated, folder, subset) if stated else image
            image = by_content if by_content.found else image
        return _Named(image, xml)

    def take(self, each: _Named, image_id: str, subset: str, labelled: bool) -> None:
        """Add an image and, if its subset is labelled, the boxes of its annotation."""
        kept = self.images.get(each.image.path)
        if kept is not None:
            if kept["subset"] != subset:
                self.log.add("in_both_subsets", "dropped", in_both(kept["subset"]), image_id)
            elif kept["xml"] != each.xml.path:
                detail = f"The image has its labels from {kept['xml']}; those of this file are not used."
                self.log.add("repeated_image", "dropped", detail, image_id, each.xml.path)
            return
        entry: dict[str, Any] = {"image_id": image_id, "path": each.image.path, "subset": subset, "status": "ok"}
        entry["xml"] = each.xml.path
        self.images[each.image.path] = entry
        if not labelled:
            return
        if not each.xml.found:
            detail = "The image is in a split, but has no annotation."
            self.log.add("no_annotation", "quarantined", detail, image_id)
            entry["status"] = "unlabelled"
            return
        annotation = read_annotation(self.raw / each.xml.path)
        entry["status"] = self._add_boxes(annotation, image_id, each.xml.path)
        entry |= {"stated_width": annotation.width, "stated_height": annotation.height}

    def _add_boxes(self, annotation: Annotation, image_id: str, file: str) -> str:
        """Add what can be used; return the image's status."""
        if annotation.fault:
            self.log.add("bad_annotation", "quarantined", annotation.fault, image_id, file)
            return "unlabelled"
        usable = [each for each in annotation.objects if each.label and each.corners]
        for each in annotation.objects:
            if not each.label or not each.corners:
                self.log.add("bad_row", "quarantined", "An object without a name or a box.", image_id, file, each.line)
                continue
            place = {"image_id": image_id, "file": file, "row": each.line}
            self.boxes.append({**place, "label": each.label, **each.corners})
        return "unlabelled" if annotation.objects and not usable else "ok"


def _bare(name: str) -> str:
    """The last part of a name, without the ending of an image or an annotation."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return str(PurePosixPath(last).with_suffix("")) if is_image_name(last) or last.lower().endswith(".xml") else last


def _annotations(raw: Path) -> tuple[Path, Path]:
    """The folder that holds the annotations, and the one that split files lie below."""
    found = sorted(path for path in raw.rglob("*") if path.name.lower() == "annotations" and path.is_dir())
    with_files = [path for path in found if any(files_below(path, _XML))]
    if len(with_files) == 1:
        return with_files[0], with_files[0].parent
    if not with_files and not any(files_below(raw, _XML)):
        raise DataError(f"{raw} holds no XML files, neither in a folder Annotations nor beside the images.")
    subsets = [subset_of_path(path.relative_to(raw).as_posix()) for path in with_files]
    if "" in subsets or len(set(subsets)) < len(subsets):
        which = ", ".join(str(path.parent.relative_to(raw)) for path in with_files)
        raise DataError(f"{raw} must hold one folder Annotations; found in: {which}.")
    return raw, raw


def _by_folder(reader: _Reader, tests: list[str]) -> dict[str, list[str]]:
    """Annotations by the subset that a folder of theirs, or of their image, speaks of; `tests` are named already."""
    taken = {reader.find(name, "test").xml.path for name in tests}
    named: dict[str, list[str]] = {"test": [*tests], "validation": [], "train": []}
    for path in reader.xmls.paths:
        if path not in taken:
            subset = subset_of_path(path) or subset_of_path(reader.find(path, "").image.path) or "train"
            named["train" if subset == "test" and tests else subset].append(path)
    if not named["train"] and not named["validation"]:
        return {"test": [*tests], "train": [path for path in reader.xmls.paths if path not in taken]}
    return named


def _subsets(settings: TaskConfig, reader: _Reader) -> dict[str, list[str]]:
    """Names of the images by subset, test and validation first, in the order of the split files."""
    train, test = settings.audit.train, settings.audit.test
    root, main = reader.root, reader.root / "ImageSets/Main"
    if train is None and not main.is_dir():
        tests = named_files(root, test or [], set(), "audit.test")
        return _by_folder(reader, [name for path in tests for name in _names(path, reader)])
    usual = {"trainval.txt"} if (main / "trainval.txt").exists() else {"train.txt", "val.txt"}
    home = main if main.is_dir() else root
    tests = named_files(root if test else home, test, {"test.txt"}, "audit.test")
    named = named_files(root if train else home, train, usual, "audit.train")
    validation = [name for path in named if path.stem.lower() in VALIDATION for name in _names(path, reader)]
    learned = [name for path in named if path.stem.lower() not in VALIDATION for name in _names(path, reader)]
    if train is None and usual == {"trainval.txt"} and (main / "val.txt").exists():
        both = set(_names(main / "val.txt", reader))
        validation, learned = [each for each in learned if each in both], [each for each in learned if each not in both]
    if not learned and not validation:
        raise DataError(f"{home} names no training images; it needs trainval.txt or train.txt.")
    return {
        "test": [name for path in tests for name in _names(path, reader)],
        "validation": validation,
        "train": learned,
    }


def _names(path: Path, reader: _Reader) -> list[str]:
    """The names on a split file's lines, without the flags (1, 0, -1) that per-class files have behind them."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    bare = [_FLAG.sub("", line) for line in lines]
    if all(line != name for line, name in zip(lines, bare, strict=True)) and all(map(reader.is_known, bare)):
        return bare
    return [
        name if line != name and not reader.is_known(line) else line for line, name in zip(lines, bare, strict=True)
    ]
