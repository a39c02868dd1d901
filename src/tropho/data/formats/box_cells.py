"""Boxes in the cells of a table: numbers of several columns, or one cell with a list, JSON or a dictionary."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tropho.data.formats.box_columns import BOX_ROLES, LABEL, Columns, box_of_keys, squeeze
from tropho.data.formats.csv_table import number


@dataclass(frozen=True)
class CellBox:
    """Four numbers as they stand in a table.

    Attributes:
        form: corners | xywh | cxcywh | list (four numbers that nothing names).
        values: of the form; pixels or shares of the image.
        label: the class that the cell itself names; empty where it names none.
    """

    form: str
    values: tuple[float, float, float, float]
    label: str = ""


def boxes_of(cells: list[str], columns: Columns, decimal_comma: bool) -> list[CellBox]:
    """The boxes in the cells of a row; none where the cells are empty.

    Raises:
        ValueError: a cell can't be read; the text says which and why, as the end of a sentence.
    """
    if not columns.layout:
        return []
    if columns.layout == "cell":
        place = columns.at["bbox"]
        try:
            return boxes_in(cells[place], columns.cell_form)
        except ValueError as error:
            raise ValueError(f"The cell {columns.header[place]} holds '{_short(cells[place])}', {error}") from None
    places = [columns.at[role] for role in BOX_ROLES[columns.layout]]
    if not any(cells[place] for place in places):
        return []
    values = []
    for place in places:
        value = number(cells[place], decimal_comma)
        if value is None:
            what = f"holds '{_short(cells[place])}', not a number" if cells[place] else "is empty"
            raise ValueError(f"The cell {columns.header[place]} {what}")
        values.append(value)
    return [_hull(values) if columns.layout == "quadrilateral" else CellBox(columns.layout, _four(values))]


def boxes_in(cell: str, form: str = "") -> list[CellBox]:
    """The boxes of one cell: "[x, y, w, h]", "x y x y", {"x": ..., "width": ...}, a polygon, or a list of these.

    Also as competitions write all boxes of an image: "class confidence x y x y class ..." and "confidence x y w h ...",
    of which the class may be left out or the confidence.

    Raises:
        ValueError: it holds no box; the text says why.
    """
    text = cell.strip()
    if not text.strip("[](){} ") or text.lower() == "no_box":
        return []
    if not re.search(r"[{\[(]", text):
        several = [part.replace(",", " ").split() for part in text.split(";") if part.strip()]
        flat = [each for part in several for each in part]
        if len(several) == 1 and (strings := _strings(flat)):
            return strings
        return [_of_numbers(part, form) for part in ([flat] if len(flat) == 4 else several)]
    content = _parsed(text)
    if isinstance(content, dict) or not _is_list_of(content, (dict, list, tuple)) or _is_points(content):
        content = [content]
    return [_of_dictionary(each) if isinstance(each, dict) else _of_numbers(each, form) for each in content if each]


def _strings(words: list[str]) -> list[CellBox]:
    """Boxes of six words (class, confidence, corners) or five (class or confidence, four numbers); [] for others."""
    for size in (6, 5):
        groups = [words[start : start + size] for start in range(0, len(words), size)]
        numbers = [[number(word) for word in group[-4:]] for group in groups]
        if len(words) % size or any(value is None for four in numbers for value in four):
            continue
        if size == 6 and all(map(_is_share, (group[1] for group in groups))):
            return [CellBox("corners", _four(_numbers(group[2:])), group[0]) for group in groups]
        if size == 5 and all(map(_is_share, (group[0] for group in groups))):
            return [CellBox("xywh", _four(_numbers(group[1:]))) for group in groups]
        if size == 5:
            return [CellBox("list", _four(_numbers(group[1:])), group[0]) for group in groups]
    return []


def _is_share(word: str) -> bool:
    value = number(word)
    return value is not None and 0 <= value <= 1


def label_in(cell: str) -> str:
    """The class in a cell: the text itself, or of a dictionary (VIA's region_attributes) what it says of the class."""
    if not cell.startswith("{"):
        return cell
    try:
        content = _parsed(cell)
    except ValueError:
        return cell
    return _label_of(content) if isinstance(content, dict) else cell


def _label_of(content: dict[str, Any]) -> str:
    by_name = {squeeze(str(key)): value for key, value in content.items()}
    value = next((by_name[name] for name in LABEL if name in by_name), None)
    if value is None and len(content) == 1:
        value = next(iter(content.values()))
    if isinstance(value, dict):  # VIA's checkboxes: {"cell": true}
        ticked = [key for key, ticked in value.items() if ticked]
        value = ticked[0] if len(ticked) == 1 else ""
    return "" if value is None else str(value).strip()


def _parsed(text: str) -> Any:
    """JSON, or lists and dictionaries as Python writes them."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        numbers = re.split(r"[,;\s]+", text.strip("[]() "))  # numpy's "[ 1.  2. 30. 40.]"
        if all(number(each) is not None for each in numbers):
            return numbers
        raise ValueError("which is neither numbers nor JSON") from None


def _of_dictionary(content: dict[str, Any]) -> CellBox:
    xs, ys = content.get("all_points_x"), content.get("all_points_y")
    if isinstance(xs, list) and isinstance(ys, list):  # VIA's polygons
        return _hull([value for point in zip(xs, ys, strict=False) for value in point])
    label = next((str(value) for key, value in content.items() if squeeze(key) in LABEL and key != "name"), "")
    if content.get("name") in {"circle", "ellipse"}:
        names = ("cx", "cy", "r", "r") if content["name"] == "circle" else ("cx", "cy", "rx", "ry")
        cx, cy, rx, ry = _numbers([content.get(name) for name in names])
        return CellBox("corners", (cx - rx, cy - ry, cx + rx, cy + ry), label)
    layout, at = box_of_keys(content)
    if layout not in {"corners", "xywh", "cxcywh"}:
        raise ValueError("which is no box")
    keys = list(content)
    values = [content[keys[at[role]]] for role in BOX_ROLES[layout]]
    return CellBox(layout, _four(_numbers(values)), label)


def _of_numbers(content: Any, form: str) -> CellBox:
    if _is_points(content):
        return _hull([value for point in content for value in point])
    if not isinstance(content, Sequence) or len(content) != 4:
        raise ValueError("which is not four numbers")
    return CellBox({"xyxy": "corners"}.get(form, form) or "list", _four(_numbers(content)))


def _numbers(values: Sequence[Any]) -> list[float]:
    numbers = [number(str(value)) for value in values]
    if any(value is None for value in numbers):
        raise ValueError("in which a number is missing")
    return [value for value in numbers if value is not None]


def _hull(values: Sequence[Any]) -> CellBox:
    """The box of a polygon x1, y1, x2, y2, ..."""
    numbers = _numbers(values)
    if len(numbers) < 4:
        raise ValueError("which has too few points for a box")
    xs, ys = numbers[::2], numbers[1::2]
    return CellBox("corners", (min(xs), min(ys), max(xs), max(ys)))


def _four(values: Sequence[float]) -> tuple[float, float, float, float]:
    first, second, third, fourth = values
    return first, second, third, fourth


def _is_list_of(content: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(content, list | tuple) and all(isinstance(each, kinds) for each in content)


def _is_points(content: Any) -> bool:
    """Whether it is a list of points: [[x, y], [x, y], ...]."""
    return _is_list_of(content, (list, tuple)) and len(content) > 1 and all(len(each) == 2 for each in content)


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}..."
