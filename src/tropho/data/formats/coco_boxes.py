"""Compute the box of a COCO annotation: its bbox, or else that of its polygons or run-length encoded mask."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tropho.tables import BOX


def box_of(annotation: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the corners in pixels, or None where neither `bbox` nor `segmentation` gives any.

    A bbox without area, as converters write for an unknown one, counts only where there is no segmentation.
    """
    corners = _bbox(annotation.get("bbox"))
    if corners is None or corners[0] == corners[2] or corners[1] == corners[3]:
        corners = _outline(annotation.get("segmentation")) or corners
    return None if corners is None else dict(zip(BOX, corners, strict=True))


def _bbox(bbox: Any) -> tuple[float, ...] | None:
    """Convert x, y, width, height to corners; None for anything but four finite numbers."""
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return None
    corners = (x, y, x + width, y + height)
    return corners if all(map(math.isfinite, corners)) else None


def _outline(segmentation: Any) -> tuple[float, ...] | None:
    """Return the corners around polygons (lists of x, y, x, y, ...) or a mask ({counts, size})."""
    if isinstance(segmentation, Mapping):
        return _mask_box(segmentation)
    try:
        values = [float(value) for value in _flatten(segmentation)]
    except (TypeError, ValueError):
        return None
    x, y = values[0::2], values[1::2]
    if len(values) < 6 or len(x) != len(y) or not all(map(math.isfinite, values)):  # three points make a polygon
        return None
    return min(x), min(y), max(x), max(y)


def _flatten(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flatten(value)
        else:
            yield value


def _mask_box(mask: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the corners around a mask, whose counts are numbers or COCO's compressed text; None for a bad one."""
    from faster_coco_eval.core import mask as codec

    try:
        height, width = (int(value) for value in mask["size"])
        counts = mask["counts"]
        if isinstance(counts, str):
            if not re.fullmatch("[0-o]+", counts):  # the alphabet of the compressed text
                return None
            rle = {"size": [height, width], "counts": counts.encode("ascii")}
        else:
            numbers = [int(value) for value in counts]
            rle = codec.frPyObjects({"size": [height, width], "counts": numbers}, height, width)
        x, y, box_width, box_height = (float(value) for value in codec.toBbox([rle])[0])
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return (x, y, x + box_width, y + box_height) if box_width > 0 else None
