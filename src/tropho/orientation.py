"""The eight symmetries of the square, applied to images and boxes."""

import numpy as np

SYMMETRIES: dict[str, tuple[bool, bool, bool]] = {
    "identity": (False, False, False),
    "hflip": (False, True, False),
    "vflip": (False, False, True),
    "rot180": (False, True, True),
    "transpose": (True, False, False),
    "rot270": (True, True, False),
    "rot90": (True, False, True),
    "antitranspose": (True, True, True),
}
"""By name: swap rows and columns, then reverse columns, then reverse rows. Rotations are counter-clockwise."""

UPRIGHT: dict[int, str] = {
    1: "identity",
    2: "hflip",
    3: "rot180",
    4: "vflip",
    5: "transpose",
    6: "rot270",
    7: "antitranspose",
    8: "rot90",
}
"""By EXIF orientation: the symmetry that turns the stored image upright."""

STORED: dict[int, str] = {**UPRIGHT, 6: "rot90", 8: "rot270"}  # by EXIF orientation: the inverse of UPRIGHT

INVERSE: dict[str, str] = {name: name for name in SYMMETRIES} | {"rot90": "rot270", "rot270": "rot90"}
"""By symmetry: the one that undoes it."""


def turn_image(image: np.ndarray, name: str) -> np.ndarray:
    """Apply a symmetry to an image (h, w, ...); returns a NumPy view, (w, h, ...) if rows and columns are swapped."""
    swapped, columns, rows = SYMMETRIES[name]
    turned = image.swapaxes(0, 1) if swapped else image
    return turned[:: -1 if rows else 1, :: -1 if columns else 1]


def turn_boxes(boxes: np.ndarray, name: str, width: int, height: int) -> np.ndarray:
    """Move boxes (n, 4) xyxy as `turn_image` moves their image of width x height pixels."""
    swapped, columns, rows = SYMMETRIES[name]
    xmin, ymin, xmax, ymax = boxes.T
    if swapped:
        xmin, ymin, xmax, ymax = ymin, xmin, ymax, xmax
        width, height = height, width
    if columns:
        xmin, xmax = width - xmax, width - xmin
    if rows:
        ymin, ymax = height - ymax, height - ymin
    return np.stack([xmin, ymin, xmax, ymax], axis=1)  # (n, 4)
