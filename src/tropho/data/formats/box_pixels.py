"""The boxes of tables in pixels: what their numbers mean is decided by all rows together."""

import math
from collections.abc import Callable

import numpy as np

from tropho.data.formats.box_cells import CellBox
from tropho.data.formats.box_table import BoxTable, Row
from tropho.data.formats.box_units import find_list_form, find_sized_form, find_unit, to_corners
from tropho.errors import DataError

FileSize = Callable[[str], tuple[float, float] | None]
Boxed = list[tuple[Row, CellBox]]


def to_pixels(rows: list[Row], tables: list[BoxTable], file_size: FileSize) -> tuple[str, str]:
    """Set `corners` of every row that has boxes, and `fault` of rows whose numbers are of another unit.

    Args:
        rows: of the tables.
        tables: tables with one header.
        file_size: width and height by path, for images whose size the tables do not state; None = unknown.

    Returns: the unit (pixels | shares) and the form (a layout, or what a cell's four numbers are).

    Raises:
        DataError: unit or form can't be told.
    """
    form = {"cell": "one cell"}.get(tables[0].columns.layout, tables[0].columns.layout)
    boxed = [(row, box) for row in rows if not row.fault for box in row.boxes]
    if not boxed:
        return "pixels", form
    try:
        unit, wrong = find_unit(_values(boxed))
    except DataError as error:
        raise DataError(f"{tables[0].name}: {error}.") from None
    for (row, box), bad in zip(boxed, wrong, strict=True):
        if bad:
            row.fault = f"It holds {', '.join(f'{value:g}' for value in box.values)}, where others hold shares"
    boxed = [(row, box) for row, box in boxed if not row.fault]
    _check_image_size(boxed, rows, tables)
    forms, form = _decide_forms(boxed, tables[0], unit, file_size, form)
    scales = _sizes([row for row, _ in boxed], file_size, math.nan) if unit == "shares" else np.ones((len(boxed), 2))
    values, corners = _values(boxed), np.empty((len(boxed), 4))
    for each in set(forms.tolist()):
        corners[forms == each] = to_corners(values[forms == each], each)
    if unit == "shares":
        corners = np.round(corners * np.tile(scales, 2), 6)
    first = 0
    for row in dict.fromkeys(row for row, _ in boxed):
        row.corners = corners[first : first + len(row.boxes)]
        first += len(row.boxes)
    return unit, form


def _decide_forms(boxed: Boxed, table: BoxTable, unit: str, file_size: FileSize, form: str) -> tuple[np.ndarray, str]:
    """The form of each box, (N,) of str, and what is told of it; raise DataError where it can't be told."""
    forms = np.array([box.form for _, box in boxed], dtype=object)
    for vague, decide in (("list", find_list_form), ("xywh", find_sized_form)):
        which = forms == vague
        if which.any() and (vague == "list" or _is_vague(table)):
            sized = [row for (row, _), chosen in zip(boxed, which, strict=True) if chosen]
            limits = np.ones((len(sized), 2)) if unit == "shares" else _sizes(sized, file_size, math.inf)
            try:
                forms[which] = form = decide(_values(boxed)[which], limits, unit)
            except DataError as error:
                raise DataError(f"{table.name}: {error}; {_remedy(table)}.") from None
    return forms, form


def _values(boxed: Boxed) -> np.ndarray:
    return np.array([box.values for _, box in boxed], np.float64).reshape(-1, 4)


def _sizes(rows: list[Row], file_size: FileSize, unknown: float) -> np.ndarray:
    """(N, 2) width and height of each row's image in pixels, as stated or of the file."""
    return np.array([row.size or file_size(row.match.path) or (unknown, unknown) for row in rows], np.float64)


def _is_vague(table: BoxTable) -> bool:
    """Whether columns x, y, width, height were recognised by their names alone."""
    return table.columns.layout == "xywh" and not {"x", "y"} & table.columns.given


def _check_image_size(boxed: Boxed, rows: list[Row], tables: list[BoxTable]) -> None:
    """Columns width and height beside corners are the image's, unless they are what the corners enclose."""
    sized = [(row, box) for row, box in boxed if row.size and box.form == "corners"]
    if not sized or not all(table.columns.maybe_image_size for table in tables):
        return
    values = _values(sized)
    differences = np.abs(values[:, 2:] - values[:, :2] - np.array([row.size for row, _ in sized], np.float64))
    if (differences <= 1.5).all(axis=1).mean() >= 0.95:
        for table in tables:
            table.drop_image_size()
        for row in rows:
            row.size = None


def _remedy(table: BoxTable) -> str:
    """What to set where the form of the boxes can't be told."""
    header, at = table.columns.header, table.columns.at
    if table.columns.layout == "cell":
        heading = header[at["bbox"]]
        return f"set audit.columns to {{bbox_xywh: {heading}}}, {{bbox_xyxy: {heading}}} or {{bbox_cxcywh: {heading}}}"
    x, y = header[at["x"]], header[at["y"]]
    return f"set audit.columns to {{x: {x}, y: {y}}} (corner) or {{xcenter: {x}, ycenter: {y}}} (centre)"
