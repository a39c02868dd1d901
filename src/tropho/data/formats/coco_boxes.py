"""The box of a COCO annotation: its bbox, or else that of its polygons or run-length encoded mask."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tropho.tables import BOX


def box_of(annotation: Mapping[str, Any]) -> dict[str, float] | None:
    """Corners in pixels of the image, or None where neither `bbox` nor `segmentation` gives any.

    A bbox without area, as converters write for what they don't know, counts only where there is no segmentation.
    """
    stated = _stated(annotation.get("bbox"))
    if stated is not None and stated[0] != stated[2] and stated[1] != stated[3]:
        corners: tuple[float, ...] | None = stated
    else:
        corners = _outline(annotation.get("segmentation")) or stated
    return None if corners is None else dict(zip(BOX, corners, strict=True))


def _stated(bbox: Any) -> tuple[float, float, float, float] | None:
    """x, y, width, height -> corners; None for what is not four finite numbers."""
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return None
    corners = (x, y, x + width, y + height)
    return corners if all(map(math.isfinite, corners)) else None


def _outline(segmentation: Any) -> tuple[float, ...] | None:
    """Corners around polygons (lists of x, y, x, y, ...) or a mask ({counts, size})."""
    if isinstance(segmentation, Mapping):
        return _mask_box(segmentation)
    try:
        values = [float(value) for value in _flat(segmentation)]
    except (TypeError, ValueError):
        return None
    x, y = values[0::2], values[1::2]
    if len(values) < 6 or len(x) != len(y) or not all(map(math.isfinite, values)):  # three points make a polygon
        return None
    return min(x), min(y), max(x), max(y)


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def _mask_box(mask: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Corners around a mask, whose counts are numbers or COCO's compressed text; None for an empty or broken one."""
    from faster_coco_eval.core import mask as codec

    try:
        height, width = (int(value) for value in mask["size"])
        counts = mask["counts"]
        if isinstance(counts, str):
            if not re.fullmatch("[0-o]+", counts):  # the letters that the code is written in
                return None
            packed = {"size": [height, width], "counts": counts.encode("ascii")}
        else:
            packed = codec.frPyObjects(
                {"size": [height, width], "counts": [int(value) for value in counts]}, height, width
            )
        x, y, box_width, box_height = (float(value) for value in codec.toBbox([packed])[0])
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return (x, y, x + box_width, y + box_height) if box_width > 0 else None
