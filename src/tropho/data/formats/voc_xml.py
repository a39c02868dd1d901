"""What one Pascal VOC annotation file says."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tropho.tables import BOX


@dataclass(frozen=True)
class Marked:
    """An object of an annotation; `label` is "" and `corners` is None where they can't be used."""

    label: str
    corners: dict[str, float] | None
    line: int | None
    """1-based line on which it begins, where that can be told."""


@dataclass(frozen=True)
class Annotation:
    """An annotation file; `fault` says why it can't be read, width and height are in pixels where stated."""

    fault: str = ""
    filename: str = ""
    width: int | None = None
    height: int | None = None
    objects: list[Marked] = field(default_factory=list)


def read_annotation(path: Path) -> Annotation:
    """Read an XML file; the box of an object without one is that of its polygon."""
    try:
        text = path.read_bytes()
        tree = ElementTree.fromstring(text)  # noqa: S314 - expat bounds entity expansion since 2.4.1
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        return Annotation(fault=f"Not readable as XML: {error}.")
    if tree.tag.lower() != "annotation":
        return Annotation(fault=f"Not in Pascal VOC's layout: its element is <{tree.tag}>, not <annotation>.")
    elements = tree.findall("object")
    lines: list[int | None] = [*_lines_of_objects(text)]
    lines = lines if len(lines) == len(elements) else [None] * len(elements)
    marked = zip(lines, elements, strict=True)
    objects = [Marked(_text(each, "name"), _corners(each), line) for line, each in marked]
    width, height = (_number(_text(tree, f"size/{side}")) for side in ("width", "height"))
    stated = [int(value) if value > 0 else None for value in (width, height)]
    return Annotation("", _text(tree, "filename"), stated[0], stated[1], objects)


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _corners(element: ElementTree.Element) -> dict[str, float] | None:
    corners = [_number(_text(element, f"bndbox/{side}")) for side in BOX]
    polygon = element.find("polygon")
    if any(map(math.isnan, corners)) and polygon is not None:  # as <x1>, <y1>, ... or as <pt><x/><y/></pt>
        x, y = ([_number(each.text) for each in polygon.iter() if each.tag.startswith(axis)] for axis in "xy")
        if len(x) == len(y) >= 3 and not any(map(math.isnan, x + y)):
            corners = [min(x), min(y), max(x), max(y)]
    return None if any(map(math.isnan, corners)) else dict(zip(BOX, corners, strict=True))


def _lines_of_objects(text: bytes) -> Iterator[int]:
    """1-based lines on which the objects begin."""
    for number, line in enumerate(text.splitlines(), start=1):
        for _ in re.findall(rb"<object[\s>]", line + b" "):
            yield number


def _number(text: str | None) -> float:
    """A finite number, or NaN for anything else."""
    try:
        value = float(text or "nan")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
