"""Parse the boxes in the cells of a table: one number a column, or one cell with a list, JSON or a dictionary."""

import ast
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tropho.data.formats.box_columns import BOX_ROLES, LABEL, Columns, box_of_keys, squeeze
from tropho.tables import parse_number


@dataclass(frozen=True)
class CellBox:
    """Four numbers as they stand in a table."""

    form: str  # corners | xywh | cxcywh | list (four numbers without names)
    values: tuple[float, float, float, float]  # of the form; pixels or fractions of the image
    label: str = ""  # the class in the cell itself; empty where there is none


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
    if not re.search(r"[{\[(]", text):
        parts = [part.replace(",", " ").split() for part in text.split(";") if part.strip()]
        boxes = _parse_words(parts[0]) if len(parts) == 1 else []
        return boxes or [_parse_numbers(part, form) for part in parts]
    content = _parse_literal(text)
    if not all(isinstance(item, (dict, list, tuple)) for item in content) or isinstance(content, dict):
        content = [content]
    return [
        _parse_dictionary(item) if isinstance(item, dict) else _parse_numbers(item, form) for item in content if item
    ]


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


def _parse_literal(text: str) -> Any:
    """Parse JSON, or lists and dictionaries as Python or numpy write them."""
    for parse in (json.loads, ast.literal_eval):
        try:
            content = parse(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(content, (dict, list, tuple)):
            return content
    words = re.split(r"[,;\s]+", text.strip("[]() "))  # numpy's "[ 1.  2. 30. 40.]"
    if any(math.isnan(parse_number(word)) for word in words):
        raise ValueError("which is neither numbers nor JSON")
    return words


def _parse_dictionary(content: dict[str, Any]) -> CellBox:
    layout, at = box_of_keys(content)
    if layout not in {"corners", "xywh", "cxcywh"}:
        raise ValueError("which is no box")
    values = list(content.values())
    label = next((str(value) for key, value in content.items() if squeeze(key) in LABEL), "")
    return CellBox(layout, _numbers([values[at[role]] for role in BOX_ROLES[layout]]), label)


def _parse_numbers(content: Any, form: str) -> CellBox:
    if not isinstance(content, Sequence) or len(content) != 4:
        raise ValueError("which is not four numbers")
    return CellBox({"xyxy": "corners"}.get(form, form) or "list", _numbers(content))


def _numbers(values: Sequence[Any]) -> Any:
    """Convert values to a tuple of floats; raise ValueError if one is no number."""
    numbers = tuple(parse_number(str(value)) for value in values)
    if any(map(math.isnan, numbers)):
        raise ValueError("in which a number is missing")
    return numbers


def _shorten(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}..."
