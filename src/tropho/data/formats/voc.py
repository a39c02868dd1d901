"""Read Pascal VOC: Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt; or XML beside each image."""

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from tropho.config.task_config import TaskConfig
from tropho.data.formats.label_collector import Labels, files_below
from tropho.data.formats.label_files import LabelFileReader
from tropho.tables import BOX, parse_number

LISTS = {"test": ["test.txt"], "validation": ["val.txt"], "train": ["trainval.txt", "train.txt"]}
"""Names of the lists in ImageSets/Main by subset; of two the first that is there counts."""


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the annotations of the images that split files or folders name; docs/label_formats.md has the rules."""

    def stated_name(file: str) -> str:
        with suppress(ValueError):
            return _text(read_annotation(raw / file), "filename")
        return ""

    reader = LabelFileReader(settings, raw)
    reader.match_files(map(str, files_below(raw, ".xml")), stated_name)
    reader.add_images(_lists(files_below(raw, ".txt"), raw))
    for entry, file in reader.labelled():
        try:
            annotation = read_annotation(raw / file)
        except ValueError as error:
            reader.mark_unlabelled(entry, str(error), "bad_annotation", file)
            continue
        for side in ("width", "height"):
            pixels = parse_number(_text(annotation, f"size/{side}"))
            entry[f"stated_{side}"] = int(pixels) if pixels > 0 else None
        objects = annotation.findall("object")
        lines = lines_of_objects(raw / file, len(objects))
        reader.add_rows(entry, file, zip(lines, objects, strict=True), _parse_object)
    return reader.labels()


def _lists(texts: Iterable[PurePosixPath], raw: Path) -> dict[str, list[Path]]:
    """Find the lists of images of each subset."""
    found: dict[str, list[Path]] = {}
    for folder in {path.parent for path in texts if path.parent.parts[-2:] == ("ImageSets", "Main")}:
        for subset, names in LISTS.items():
            paths = [raw / folder / name for name in names if (raw / folder / name).is_file()]
            found.setdefault(subset, []).extend(paths[:1])
    return found


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


def _parse_object(element: ElementTree.Element) -> dict[str, Any]:
    """Return label and corners of an object; raise ValueError where one is missing."""
    label, corners = _text(element, "name"), corners_of(element)
    if not label or not corners:
        raise ValueError("An object without a name or a box")
    return {"label": label, **corners}


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
