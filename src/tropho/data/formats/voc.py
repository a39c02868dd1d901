"""Read Pascal VOC: Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt; or XML beside each image."""

import math
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import Match, NamedFiles, subset_of_path, unique_ids
from tropho.data.formats.label_collector import VALIDATION, LabelCollector, Labels, files_below, named_files, read_lines
from tropho.errors import DataError
from tropho.images.file_types import is_image_name
from tropho.tables import BOX, parse_number

_Named = tuple[Match, Match]  # an image that a split file names, and its annotation
_FLAG = re.compile(r"\s+-?[01]$")  # in split files of one class: whether the class is in the image


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the annotations of the images that split files or folders name; docs/label_formats.md has the rules."""
    reader = _Reader(raw)
    named = {subset: reader.find_all(names, subset) for subset, names in _subsets(settings, reader).items()}
    ids = unique_ids(image.path for items in named.values() for image, _ in items)
    for subset, items in named.items():
        is_labelled = subset != "test" or any(xml.candidates for _, xml in items)
        for image, xml in items:
            reader.add(image, xml, ids[image.path], subset, is_labelled)
    if settings.audit.test is None and not named["test"]:
        reader.add_unnamed_tests()
    return reader.labels()


class _Reader(LabelCollector):
    """Read one annotation after another."""

    def __init__(self, raw: Path) -> None:
        super().__init__(raw)
        xmls = files_below(raw, ".xml")
        self.home = self._annotation_folder(xmls)  # below `raw`; the top if there are several or none
        self.root = raw / self.home.parent  # folder that split files lie below
        self.xmls = NamedFiles(str(path) for path in xmls if path.is_relative_to(self.home))

    def _annotation_folder(self, xmls: list[PurePosixPath]) -> PurePosixPath:
        if not xmls:
            raise DataError(f"{self.raw} holds no XML files, neither in a folder Annotations nor beside the images.")
        folders = sorted(PurePosixPath(name) for name in self.on_disk.folders)
        folders = [folder for folder in folders if folder.name.lower() == "annotations"]
        folders = [folder for folder in folders if any(path.is_relative_to(folder) for path in xmls)]
        if len(folders) == 1:
            return folders[0]
        subsets = [subset_of_path(str(folder)) for folder in folders]
        if "" in subsets or len(set(subsets)) < len(subsets):
            names = ", ".join(str(folder.parent) for folder in folders)
            raise DataError(f"{self.raw} must hold one folder Annotations; found in: {names}.")
        return PurePosixPath()

    def names_in(self, path: Path) -> list[str]:
        """Read the names on a split file's lines, without the flags of files of one class."""
        lines = read_lines(path)
        return [line if any(each.candidates for each in self.find(line, "")) else _FLAG.sub("", line) for line in lines]

    def find_all(self, names: list[str], subset: str) -> list[_Named]:
        """Find the images that a subset's split files name; log ambiguous names."""
        items = []
        for name in names:
            item = self.find(name, subset if subset == "test" else "")
            ambiguous = [match for match in item if match.ambiguous]
            for match in ambiguous:
                self.log.add("ambiguous_name", "quarantined", match.detail(name), name)
            if not ambiguous:
                items.append(item)
        return items

    def find(self, name: str, subset: str) -> _Named:
        """Find the image and the annotation of a name; the image also by the file name in its annotation."""
        home = str(self.home)
        own = self.xmls.find(name) if name in self.xmls else None
        folder = str(PurePosixPath(name).parent) if own else home
        image = self.on_disk.find(_stem(name) if own else name, folder, subset)
        beside = str(PurePosixPath(image.path).parent) if image.found else home
        xml = own or self.xmls.find(PurePosixPath(image.path).stem if image.found else _stem(name), beside)
        if xml.found and not image.found:
            with suppress(ValueError):
                by_content = self.on_disk.find(_text(read_annotation(self.raw / xml.path), "filename"), folder, subset)
                image = by_content if by_content.found else image
        return image, xml

    def add(self, image: Match, xml: Match, image_id: str, subset: str, is_labelled: bool) -> None:
        """Add an image and, if its subset is labelled, the boxes of its annotation."""
        is_known = image.path in self.images
        entry = self.add_image(image_id, image.path, subset, xml=xml.path)
        if entry is None:
            return
        if is_known:
            if entry["xml"] != xml.path:
                detail = f"The image has its labels from {entry['xml']}; those of this file are not used."
                self.log.add("repeated_image", "dropped", detail, image_id, xml.path)
        elif is_labelled and not xml.found:
            self.mark_unlabelled(entry, "The image is in a split, but has no annotation.", "no_annotation")
        elif is_labelled:
            self._add_boxes(entry, xml.path)

    def _add_boxes(self, entry: dict[str, Any], file: str) -> None:
        try:
            annotation = read_annotation(self.raw / file)
        except ValueError as error:
            self.mark_unlabelled(entry, str(error), "bad_annotation", file)
            return
        for side in ("width", "height"):
            pixels = parse_number(_text(annotation, f"size/{side}"))
            entry[f"stated_{side}"] = int(pixels) if pixels > 0 else None
        objects, n_boxes = annotation.findall("object"), len(self.boxes)
        for line, element in zip(lines_of_objects(self.raw / file, len(objects)), objects, strict=True):
            place = {"image_id": entry["image_id"], "file": file, "row": line}
            label, corners = _text(element, "name"), corners_of(element)
            if label and corners:
                self.boxes.append({**place, "label": label, **corners})
            else:
                self.log.add("bad_row", "quarantined", "An object without a name or a box.", **place)
        if objects and len(self.boxes) == n_boxes:
            entry["status"] = "unlabelled"


def _stem(name: str) -> str:
    """Return the last part of a name, without the ending of an image or an annotation."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return str(PurePosixPath(last).with_suffix("")) if is_image_name(last) or last.lower().endswith(".xml") else last


def _subsets(settings: TaskConfig, reader: _Reader) -> dict[str, list[str]]:
    """List the names of the images by subset, test and validation first, in the order of the split files."""
    train, test = settings.audit.train, settings.audit.test
    main = reader.root / "ImageSets/Main"
    home = main if main.is_dir() else reader.root

    def lists(given: list[str] | None, usual: set[str], key: str) -> list[tuple[str, list[str]]]:
        folder = reader.root if given else home
        return [(path.stem, reader.names_in(folder / path)) for path in named_files(folder, given, usual, key)]

    if train is None and home != main:
        tests = lists(test or [], set(), "audit.test")
        return _subsets_by_folder(reader, [name for _, names in tests for name in names])
    named: dict[str, list[str]] = {"test": [], "validation": [], "train": []}
    for _, names in lists(test, {"test.txt"}, "audit.test"):
        named["test"] += names
    is_joined = (main / "trainval.txt").exists()
    for stem, names in lists(train, {"trainval.txt"} if is_joined else {"train.txt", "val.txt"}, "audit.train"):
        named["validation" if stem.lower() in VALIDATION else "train"] += names
    if train is None and is_joined and (main / "val.txt").exists():
        in_val = set(reader.names_in(main / "val.txt"))
        named["validation"] = [name for name in named["train"] if name in in_val]
        named["train"] = [name for name in named["train"] if name not in in_val]
    if not named["train"] and not named["validation"]:
        raise DataError(f"{home} names no training images; it needs trainval.txt or train.txt.")
    return named


def _subsets_by_folder(reader: _Reader, tests: list[str]) -> dict[str, list[str]]:
    """List each annotation by the subset in a folder of it, or of its image; `tests` are named already."""
    taken = {reader.find(name, "test")[1].path for name in tests}
    named: dict[str, list[str]] = {"test": [*tests], "validation": [], "train": []}
    paths = [path for path in reader.xmls.paths if path not in taken]
    for path in paths:
        subset = subset_of_path(path) or subset_of_path(reader.find(path, "")[0].path) or "train"
        named["train" if subset == "test" and tests else subset].append(path)
    return named if named["train"] or named["validation"] else {"test": [*tests], "train": paths}


def read_annotation(path: Path) -> ElementTree.Element:
    """Parse an XML file; the text of a ValueError says why it is no annotation."""
    try:
        tree = ElementTree.fromstring(path.read_bytes())  # noqa: S314 - expat bounds entity expansion since 2.4.1
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"Not readable as XML: {error}.") from None
    if tree.tag.lower() != "annotation":
        raise ValueError(f"Not in Pascal VOC's layout: its element is <{tree.tag}>, not <annotation>.")
    return tree


def lines_of_objects(path: Path, n_objects: int) -> list[int | None]:
    """Return the lines of an annotation, from 1, on which its objects begin; None for each where that is unclear."""
    numbered = enumerate(path.read_bytes().splitlines(), start=1)
    lines: list[int | None] = [n for n, line in numbered for _ in re.findall(rb"<object[\s>]", line + b" ")]
    return lines if len(lines) == n_objects else [None] * n_objects


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def corners_of(element: ElementTree.Element) -> dict[str, float] | None:
    """Return the box of an object, or that around its polygon, by tables.BOX in pixels; None where there is none."""
    corners = [parse_number(_text(element, f"bndbox/{side}")) for side in BOX]
    polygon = element.find("polygon")
    if any(map(math.isnan, corners)) and polygon is not None:  # as <x1>, <y1>, ... or as <pt><x/><y/></pt>
        nodes = list(polygon.iter())
        x, y = ([parse_number(node.text or "") for node in nodes if node.tag.startswith(axis)] for axis in "xy")
        if len(x) == len(y) >= 3 and not any(map(math.isnan, x + y)):
            corners = [min(x), min(y), max(x), max(y)]
    return None if any(map(math.isnan, corners)) else dict(zip(BOX, corners, strict=True))
