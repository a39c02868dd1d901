"""Decide from all rows what the numbers of a box table mean: pixels or fractions, corners or centre and size."""

import math
from collections.abc import Callable

import numpy as np

from tropho.data.formats.box_columns import CellBox
from tropho.data.formats.label_table import LabelTable, Row
from tropho.errors import DataError

TOLERANCE = {"pixels": 1.5, "shares": 0.005}
"""How far a box may reach over its image and still count as inside, in the unit."""
MAX_OTHER_UNIT = 0.1  # largest ratio of rows in the other unit that count as accidents
FileSize = Callable[[str], tuple[float, float] | None]
Boxed = list[tuple[Row, CellBox]]


def to_pixels(rows: list[Row], tables: list[LabelTable], file_size: FileSize) -> tuple[str, str]:
    """Set `corners` of every box, and `fault` of rows whose numbers are of another unit.

    The tables have one header. `file_size` gives width and height in pixels by path, where tables don't state it.
    Returns the unit (pixels | shares) and the form (a layout, or what a cell's four numbers are).
    """
    form = {"cell": "one cell"}.get(tables[0].columns.layout, tables[0].columns.layout)
    boxed = [(row, box) for row in rows if not row.fault for box in row.boxes]
    if not boxed:
        return "pixels", form
    unit, wrong = find_unit(_values(boxed), tables[0].name)
    for (row, box), is_wrong in zip(boxed, wrong, strict=True):
        if is_wrong:
            row.fault = f"It holds {', '.join(f'{value:g}' for value in box.values)}, where others hold shares"
    boxed = [(row, box) for row, box in boxed if not row.fault]
    _check_image_size(boxed, rows, tables)
    forms, form = _decide_forms(boxed, tables[0], unit, file_size, form)
    values, corners = _values(boxed), np.empty((len(boxed), 4))  # (N, 4)
    for name in set(forms.tolist()):
        corners[forms == name] = to_corners(values[forms == name], name)
    if unit == "shares":
        sizes = _sizes([row for row, _ in boxed], file_size, math.nan)  # (N, 2)
        corners = np.round(corners * np.tile(sizes, 2), 6)
    for (_, box), own in zip(boxed, corners, strict=True):
        box.corners = own
    return unit, form


def find_unit(values: np.ndarray, name: str) -> tuple[str, np.ndarray]:
    """Tell pixels from fractions of the image by the range of (N, 4) float64 boxes of the table `name`.

    Returns "pixels" or "shares", and (N,) bool: the rows that can't be of that unit. If many are, a DataError says so.
    """
    small = (np.abs(values) <= 1.5).all(axis=1)  # (N,)
    n_shares, n_pixels = int((small & (values % 1 != 0).any(axis=1)).sum()), int((~small).sum())
    if n_shares and n_pixels <= MAX_OTHER_UNIT * n_shares:
        return "shares", ~small
    if n_shares <= MAX_OTHER_UNIT * n_pixels:
        return "pixels", np.zeros(len(values), bool)
    raise DataError(
        f"{name}: {n_shares:,} boxes hold shares of the image (0 to 1) and {n_pixels:,} pixels; write all of them in "
        "one unit."
    )


def to_corners(values: np.ndarray, form: str) -> np.ndarray:
    """Convert (N, 4) numbers of a form (corners, xywh, cxcywh) to corners xmin, ymin, xmax, ymax."""
    first, size = values[:, :2], values[:, 2:]
    if form == "xywh":
        return np.concatenate([first, first + size], axis=1)
    if form == "cxcywh":
        return np.concatenate([first - size / 2, first + size / 2], axis=1)
    return values


def fit_fraction(values: np.ndarray, form: str, sizes: np.ndarray, unit: str) -> float:
    """Return the fraction of (N, 4) boxes that, read in this form, have an area within their image.

    `sizes` are (N, 2) width and height of each box's image in the unit (pixels | shares); infinite where unknown.
    """
    corners, slack = to_corners(values, form), TOLERANCE[unit]
    inside = (corners[:, :2] >= -slack).all(axis=1) & (corners[:, 2:] <= sizes + slack).all(axis=1)
    return float((inside & (corners[:, 2:] > corners[:, :2]).all(axis=1)).mean())


def find_list_form(values: np.ndarray, sizes: np.ndarray, unit: str) -> str:
    """Decide whether four numbers in one cell are corners, xywh, or (fractions alone) cxcywh.

    If several forms fit, or none, a DataError says so, without a full stop.
    """
    forms = ["corners", "xywh", *(["cxcywh"] if unit == "shares" else [])]
    fractions = {form: fit_fraction(values, form, sizes, unit) for form in forms}
    ranked = sorted(forms, key=lambda form: -fractions[form])
    best, second = fractions[ranked[0]], fractions[ranked[1]]
    if (best == 1 and second < 1) or (best >= 0.95 and second <= 0.7):
        return ranked[0]
    counts = ", ".join(f"{fractions[form]:.0%} of the boxes fit as {form}" for form in ranked)
    raise DataError(f"it is unclear how its four numbers are meant ({counts})")


def find_sized_form(values: np.ndarray, sizes: np.ndarray, unit: str) -> str:
    """Decide whether x and y of x, y, width, height are the upper left corner (xywh) or the centre (cxcywh).

    Pixels are taken as corners unless they do not fit and centres do, which is refused as unclear by a DataError.
    """
    corner, centre = (fit_fraction(values, form, sizes, unit) == 1 for form in ("xywh", "cxcywh"))
    if unit == "shares" and centre and not corner:
        return "cxcywh"
    if (unit == "shares" and corner and centre) or (unit == "pixels" and centre and not corner):
        raise DataError("it is unclear whether x and y are a box's upper left corner or its centre")
    return "xywh"


def _decide_forms(boxed: Boxed, table: LabelTable, unit: str, file_size: FileSize, form: str) -> tuple[np.ndarray, str]:
    """Return the form of each box, (N,) of str, and the form of the table; raise DataError where it is unclear."""
    forms = np.array([box.form for _, box in boxed], dtype=object)
    by_name = table.columns.layout == "xywh" and not {"x", "y"} & table.columns.given
    for unclear, decide in (("list", find_list_form), ("xywh", find_sized_form)):
        mask = forms == unclear
        if mask.any() and (unclear == "list" or by_name):
            rows = [row for (row, _), is_unclear in zip(boxed, mask, strict=True) if is_unclear]
            sizes = np.ones((len(rows), 2)) if unit == "shares" else _sizes(rows, file_size, math.inf)
            try:
                forms[mask] = form = decide(_values(boxed)[mask], sizes, unit)
            except DataError as error:
                raise DataError(f"{table.name}: {error}; {_remedy(table)}.") from None
    return forms, form


def _values(boxed: Boxed) -> np.ndarray:
    return np.array([box.values for _, box in boxed], np.float64).reshape(-1, 4)  # (N, 4)


def _sizes(rows: list[Row], file_size: FileSize, unknown: float) -> np.ndarray:
    """Return (N, 2) width and height of each row's image in pixels, as stated or of the file."""
    return np.array([row.size or file_size(row.match.path) or (unknown, unknown) for row in rows], np.float64)


def _check_image_size(boxed: Boxed, rows: list[Row], tables: list[LabelTable]) -> None:
    """Drop the columns width and height beside corners if they are the size of the boxes, not of the image."""
    sized = [(row, box) for row, box in boxed if row.size and box.form == "corners"]
    if not sized or not all(table.columns.maybe_image_size for table in tables):
        return
    values = _values(sized)
    differences = np.abs(values[:, 2:] - values[:, :2] - np.array([row.size for row, _ in sized], np.float64))
    if (differences <= 1.5).all(axis=1).mean() >= 0.95:
        for table in tables:
            for role in table.columns.maybe_image_size:
                table.columns.at.pop(role, None)
        for row in rows:
            row.size = None


def _remedy(table: LabelTable) -> str:
    """Return what to set where the form of the boxes is unclear."""
    header, at = table.columns.header, table.columns.at
    if table.columns.layout == "cell":
        heading = header[at["bbox"]]
        return f"set audit.columns to {{bbox_xywh: {heading}}}, {{bbox_xyxy: {heading}}} or {{bbox_cxcywh: {heading}}}"
    x, y = header[at["x"]], header[at["y"]]
    return f"set audit.columns to {{x: {x}, y: {y}}} (corner) or {{xcenter: {x}, ycenter: {y}}} (centre)"
