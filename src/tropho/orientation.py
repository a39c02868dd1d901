"""The eight symmetries of the square, on pictures and on boxes: a smear has no up, down, left or right."""

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
"""By name: whether rows and columns are swapped, then columns reversed, then rows reversed.

Turns are counter-clockwise, as NumPy's and torch's are."""

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
"""By EXIF orientation: what turns the stored picture upright."""

STORED: dict[int, str] = {**UPRIGHT, 6: "rot90", 8: "rot270"}
"""By EXIF orientation: what turns the upright picture back."""


def turn_image(image: np.ndarray, name: str) -> np.ndarray:
    """A view of (h, w, ...) through a symmetry; (w, h, ...) where rows and columns are swapped."""
    swapped, columns, rows = SYMMETRIES[name]
    turned = image.swapaxes(0, 1) if swapped else image
    return turned[:: -1 if rows else 1, :: -1 if columns else 1]


def turn_boxes(boxes: np.ndarray, name: str, width: int, height: int) -> np.ndarray:
    """Boxes (n, 4) xyxy of a picture of that width and height, before turning -> where `turn_image` puts them."""
    swapped, columns, rows = SYMMETRIES[name]
    xmin, ymin, xmax, ymax = boxes.T
    if swapped:
        xmin, ymin, xmax, ymax = ymin, xmin, ymax, xmax
        width, height = height, width
    if columns:
        xmin, xmax = width - xmax, width - xmin
    if rows:
        ymin, ymax = height - ymax, height - ymin
    return np.stack([xmin, ymin, xmax, ymax], axis=1)
