"""Recognise the columns of a box table by their headings, and parse the boxes in their cells.

A box is one number a column, or stands in one cell as a list, JSON or a dictionary.
"""

import ast
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tropho.errors import DataError, UsageError, suggestion
from tropho.tables import check_columns, parse_number

_HEADINGS = yaml.safe_load(Path(__file__).with_name("headings.yaml").read_text(encoding="utf-8"))
IMAGE, LABEL, SUBSET, CELL = (_HEADINGS[key].split() for key in ("image", "label", "subset", "cell"))
CORNERS, CENTRES, SIZES, IMAGE_SIZES = (
    [tuple(family.split()) for family in _HEADINGS[key]] for key in ("corners", "centre", "size", "image_size")
)
"""Headings as `squeeze` leaves them, the likeliest first."""

BOX_ROLES = {
    "corners": ("xmin", "ymin", "xmax", "ymax"),
    "xywh": ("x", "y", "width", "height"),
    "cxcywh": ("xcenter", "ycenter", "width", "height"),
    "cell": ("bbox",),
}
"""Roles of the columns that a box is made of, by layout."""
_LAYOUTS: dict[str, list[tuple[str, ...]]] = {
    "corners": CORNERS,
    "xywh": [(*origin, *size) for origin in (("x", "y"), *(names[:2] for names in CORNERS)) for size in SIZES],
    "cxcywh": [(*centre, *size) for centre in CENTRES for size in SIZES],
    "cell": [(word,) for word in CELL],
}
"""Headings of each layout, in the order in which they are tried."""
_PREFIX = re.compile(r"^(bbox|bndbox|boundingbox|box|rect|roi|bb)(?=.)")
_SUFFIX = re.compile(r"(?<=.)(px|pixels?|norm|normali[sz]ed|rel|abs)$")


@dataclass(frozen=True)
class Columns:
    """Positions of a table's columns, from 0."""

    header: list[str]  # the headings
    images: list[int]  # columns that may hold them, the likeliest first
    labels: list[int]
    layout: str  # a key of BOX_ROLES; empty where no column holds boxes
    at: dict[str, int]  # position by role: the roles of the box, subset, image_width and image_height
    given: frozenset[str] = frozenset()  # the roles that audit.columns names
    cell_form: str = ""  # xywh, xyxy or cxcywh, where the heading or audit.columns says how a box cell is written
    # columns width and height, which are the image's unless they fit the boxes
    maybe_image_size: dict[str, int] = field(default_factory=dict)


def squeeze(heading: str) -> str:
    """Reduce a heading to lower-case letters and digits: "Bbox X-min" is "bboxxmin"."""
    return re.sub(r"[^a-z0-9]+", "", heading.lower())


def recognise(header: list[str], given: dict[str, str], name: str, strict: bool = True) -> Columns:
    """Find the columns of the image, the class, the box, the subset and the image's size in the header of table `name`.

    Roles in `given` (audit.columns, {role: heading}) are not searched. A heading there that isn't in the table is
    refused with a UsageError if `strict`, else its role is recognised by name. A DataError names ambiguous headings.
    """
    check_columns(header, name)
    fixed = fixed_columns(header, given, name, strict)
    free = {place: heading for place, heading in enumerate(header) if place not in fixed.values()}
    cell_form = next((form for form in ("xywh", "xyxy", "cxcywh") if f"bbox_{form}" in fixed), "")
    if cell_form:
        fixed["bbox"] = fixed.pop(f"bbox_{cell_form}")
    layout, at = _find_box(free, fixed, name)
    if layout == "cell" and not cell_form:
        heading = squeeze(header[at["bbox"]])
        cell_form = next((form for form in ("xywh", "xyxy") if heading.endswith(form)), "")
    free = {place: heading for place, heading in free.items() if place not in at.values()}
    images = [fixed["image"]] if "image" in fixed else columns_named(free, IMAGE)
    labels = [fixed["label"]] if "label" in fixed else columns_named(free, LABEL)
    if len(images) > 1 and labels == images[-1:]:  # a column called "name", beside one for the image
        images = images[:-1]
    labels = [place for place in labels if place not in images[:1]]
    if subsets := columns_named(free, SUBSET):
        at["subset"] = subsets[0]
    sizes = _image_size(free, layout)
    maybe = sizes if sizes and "width" in {squeeze(header[place]) for place in sizes.values()} else {}
    at |= sizes | {role: fixed[role] for role in ("subset", "image_width", "image_height") if role in fixed}
    return Columns(header, images, labels, layout, at, frozenset(fixed), cell_form, maybe)


def fixed_columns(header: list[str], given: dict[str, str], name: str, strict: bool) -> dict[str, int]:
    """Return the position of each role that audit.columns names; arguments and errors as of `recognise`."""
    for role, heading in given.items():
        if strict and heading not in header:
            raise UsageError(f"audit.columns.{role}: {name} has no heading '{heading}'{suggestion(heading, header)}.")
    return {role: header.index(heading) for role, heading in given.items() if heading in header}


def columns_named(free: dict[int, str], names: Sequence[str]) -> list[int]:
    """Return the positions of the columns with one of the names (as of `squeeze`), in the order of the names."""
    by_name = {squeeze(heading): place for place, heading in reversed(free.items())}
    return list(dict.fromkeys(by_name[name] for name in names if name in by_name))


def _find_box(free: dict[int, str], fixed: dict[str, int], name: str) -> tuple[str, dict[str, int]]:
    """Return the first layout whose columns are all there, and the position of each of its roles."""
    places = _places(free)
    if {"x3", "y3"} <= set(places):  # a quadrilateral, of which x1, y1, x2, y2 are one side
        return "", {}
    given = set(fixed) & {role for roles in BOX_ROLES.values() for role in roles}
    for layout, families in _LAYOUTS.items():
        roles = BOX_ROLES[layout]
        if not given <= set(roles):  # the settings name a column of another layout
            continue
        for family in families:
            wanted = {role: word for role, word in zip(roles, family, strict=True) if role not in fixed}
            if any(word not in places for word in wanted.values()):
                continue
            for role, word in wanted.items():
                if len(places[word]) > 1:
                    both = " and ".join(f"'{free[place]}'" for place in places[word])
                    raise DataError(f"{name}: {both} could both be {role}; name the right one in audit.columns.")
            return layout, {role: fixed[role] if role in fixed else places[wanted[role]][0] for role in roles}
    return "", {}


def _places(free: dict[int, str]) -> dict[str, list[int]]:
    """Return positions by squeezed heading: bbox_width also as width, before a plain one; xmin_px as xmin, after."""
    places: dict[str, list[int]] = {}
    prefixed: dict[str, list[int]] = {}
    for place, heading in free.items():
        word = squeeze(heading)
        places.setdefault(word, []).append(place)
        short = _PREFIX.sub("", word)
        if short != word:
            prefixed.setdefault(short, []).append(place)
    places |= prefixed
    for word in list(places):
        places.setdefault(_SUFFIX.sub("", word), places[word])
    return places


def _image_size(free: dict[int, str], layout: str) -> dict[str, int]:
    """Return the positions of the image's width and height; plain width and height count where the box needs none."""
    for pair in (*IMAGE_SIZES, *([("width", "height")] if layout else [])):
        places = columns_named(free, pair)
        if len(places) == 2:
            return {"image_width": places[0], "image_height": places[1]}
    return {}


@dataclass
class CellBox:
    """Four numbers as they stand in a table, and what they mean."""

    form: str  # corners | xywh | cxcywh | list (four numbers without names)
    values: tuple[float, float, float, float]  # of the form; pixels or fractions of the image
    label: str = ""  # the class in the cell itself; empty where there is none
    corners: Any = None  # (4,) float64 xmin, ymin, xmax, ymax in pixels, once known; NaN without the image's size


def parse_row(cells: list[str], columns: Columns, decimal_comma: bool) -> list[CellBox]:
    """Parse the boxes in a row's cells; the text of a ValueError says which cell can't be read, and why."""
    if not columns.layout:
        return []
    places = [columns.at[role] for role in BOX_ROLES[columns.layout]]
    if columns.layout == "cell":
        try:
            return parse_cell(cells[places[0]], columns.cell_form)
        except ValueError as error:
            heading = columns.header[places[0]]
            raise ValueError(f"The cell {heading} holds '{_shorten(cells[places[0]])}', {error}") from None
    if not any(cells[place] for place in places):
        return []
    for place in places:
        if math.isnan(parse_number(cells[place], decimal_comma)):
            reason = f"holds '{_shorten(cells[place])}', not a number" if cells[place] else "is empty"
            raise ValueError(f"The cell {columns.header[place]} {reason}")
    xmin, ymin, xmax, ymax = (parse_number(cells[place], decimal_comma) for place in places)
    return [CellBox(columns.layout, (xmin, ymin, xmax, ymax))]


def parse_cell(cell: str, form: str = "") -> list[CellBox]:
    """Parse "[x, y, w, h]", "x y x y", {"x": ..., "width": ...}, or a list of these.

    Also "class confidence x y x y class ..." and "confidence x y w h ...", as competitions write all boxes of an image;
    the class or the confidence may be absent. `form` is xywh, xyxy or cxcywh where four numbers are known to be that.
    The text of a ValueError, for a cell that holds no box, is the end of a sentence.
    """
    text = cell.strip()
    if not text.strip("[](){} ") or text.lower() == "no_box":
        return []
    if "{" in text:
        return _parse_dictionaries(text)
    groups = [part.replace(",", " ").split() for part in re.split(r"[\[\]();]", text)]
    groups = [words for words in groups if words]
    if boxes := [] if re.search(r"[\[(;]", text) else _parse_words(groups[0]):
        return boxes
    if any(len(words) != 4 or any(math.isnan(parse_number(word)) for word in words) for words in groups):
        raise ValueError("which is not four numbers")
    name = {"xyxy": "corners"}.get(form, form) or "list"
    return [CellBox(name, _numbers(words)) for words in groups]


def _parse_words(words: list[str]) -> list[CellBox]:
    """Parse boxes of six words (class, confidence, corners) or five (class or confidence, four numbers), else []."""
    for size in (6, 5):
        groups = [words[start : start + size] for start in range(0, len(words), size)]
        if len(words) % size or any(math.isnan(parse_number(word)) for group in groups for word in group[-4:]):
            continue
        are_scores = all(0 <= parse_number(group[size - 5]) <= 1 for group in groups)
        if size == 6 and are_scores:
            return [CellBox("corners", _numbers(group[2:]), group[0]) for group in groups]
        if size == 5 and are_scores:
            return [CellBox("xywh", _numbers(group[1:])) for group in groups]
        if size == 5:
            return [CellBox("list", _numbers(group[1:]), group[0]) for group in groups]
    return []


def _parse_dictionaries(text: str) -> list[CellBox]:
    """Parse a dictionary with named sides, or a list of these, as JSON or Python write them."""
    content: Any = None
    for parse in (json.loads, ast.literal_eval):
        with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            content = content or parse(text)
    boxes = []
    for item in content if isinstance(content, list | tuple) else [content]:
        layout, at = _find_box(dict(enumerate(item)), {}, "") if isinstance(item, dict) else ("", {})
        if layout not in {"corners", "xywh", "cxcywh"}:
            raise ValueError("which is no box")
        values = list(item.values())
        label = next((str(value) for key, value in item.items() if squeeze(key) in LABEL), "")
        boxes.append(CellBox(layout, _numbers([values[at[role]] for role in BOX_ROLES[layout]]), label))
    return boxes


def _numbers(values: Sequence[Any]) -> Any:
    """Convert values to a tuple of floats; raise ValueError if one is no number."""
    numbers = tuple(parse_number(str(value)) for value in values)
    if any(map(math.isnan, numbers)):
        raise ValueError("in which a number is missing")
    return numbers


def _shorten(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}..."
