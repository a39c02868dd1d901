"""What the numbers of a box table mean where no heading says it: pixels or shares, corners or a corner and a size."""

import numpy as np

from tropho.errors import DataError

TOLERANCE = {"pixels": 1.5, "shares": 0.005}
"""How far a box may reach over its image and still count as inside."""
_MIXED = 0.1  # a tenth of the rows in the other unit is an accident; more can't be told


def find_unit(values: np.ndarray) -> tuple[str, np.ndarray]:
    """Tell pixels from shares of the image by range.

    Args:
        values: (N, 4) float64, the numbers of each box.

    Returns: "pixels" or "shares", and (N,) bool: the rows that can't be of that unit.

    Raises:
        DataError: some rows hold shares and some pixels; the text is the end of a sentence.
    """
    small = (np.abs(values) <= 1.5).all(axis=1)
    n_shares, n_pixels = int((small & (values % 1 != 0).any(axis=1)).sum()), int((~small).sum())
    if n_shares and n_pixels <= _MIXED * n_shares:
        return "shares", ~small
    if n_shares <= _MIXED * n_pixels:
        return "pixels", np.zeros(len(values), bool)
    raise DataError(
        f"{n_shares:,} boxes hold shares of the image (0 to 1) and {n_pixels:,} pixels; write all of them in one unit"
    )


def to_corners(values: np.ndarray, form: str) -> np.ndarray:
    """Convert (N, 4) numbers of a form (corners, xywh, cxcywh) to corners xmin, ymin, xmax, ymax."""
    first, size = values[:, :2], values[:, 2:]
    if form == "xywh":
        return np.concatenate([first, first + size], axis=1)
    if form == "cxcywh":
        return np.concatenate([first - size / 2, first + size / 2], axis=1)
    return values


def fitting(values: np.ndarray, form: str, sizes: np.ndarray, unit: str) -> float:
    """Share of the boxes that, read in this form, have an area and lie within their image.

    Args:
        values: (N, 4) float64.
        form: corners | xywh | cxcywh.
        sizes: (N, 2) width and height of each box's image in the unit; infinite where unknown.
        unit: pixels | shares.
    """
    corners, slack = to_corners(values, form), TOLERANCE[unit]
    inside = (corners[:, :2] >= -slack).all(axis=1) & (corners[:, 2:] <= sizes + slack).all(axis=1)
    return float((inside & (corners[:, 2:] > corners[:, :2]).all(axis=1)).mean())


def find_list_form(values: np.ndarray, sizes: np.ndarray, unit: str) -> str:
    """Tell what four numbers in one cell are: corners, xywh, or (shares alone) cxcywh. Arguments as of `fitting`.

    Raises:
        DataError: several forms fit, or none; the text is the end of a sentence.
    """
    forms = ["corners", "xywh", *(["cxcywh"] if unit == "shares" else [])]
    shares = {form: fitting(values, form, sizes, unit) for form in forms}
    ranked = sorted(forms, key=lambda form: -shares[form])
    best, second = shares[ranked[0]], shares[ranked[1]]
    if (best == 1 and second < 1) or (best >= 0.95 and second <= 0.7):
        return ranked[0]
    counts = ", ".join(f"{shares[form]:.0%} of the boxes fit as {form}" for form in ranked)
    raise DataError(f"it can't be told how its four numbers are meant ({counts})")


def find_sized_form(values: np.ndarray, sizes: np.ndarray, unit: str) -> str:
    """Tell whether x and y of x, y, width, height are the upper left corner (xywh) or, as some write it, the centre.

    Pixels are taken as corners unless they do not fit and centres do. Arguments as of `fitting`.

    Raises:
        DataError: it can't be told; the text is the end of a sentence.
    """
    corner, centre = (fitting(values, form, sizes, unit) == 1 for form in ("xywh", "cxcywh"))
    if unit == "shares" and centre and not corner:
        return "cxcywh"
    if (unit == "shares" and corner and centre) or (unit == "pixels" and centre and not corner):
        raise DataError("it can't be told whether x and y are a box's upper left corner or its centre")
    return "xywh"
