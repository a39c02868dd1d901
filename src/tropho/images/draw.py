"""Boxes, captions and contact sheets on RGB arrays; scale an image first (`enlarged`), then draw on it."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tropho.files import atomic_path
from tropho.images.fonts import DEFAULT, drawn, font_for

Colour = tuple[int, int, int]

HIT: Colour = (46, 204, 113)  # true positive
FALSE: Colour = (226, 37, 43)  # false positive
MISSED: Colour = (255, 176, 0)  # false negative

# Okabe and Ito's palette for any colour vision, by contrast on a stained smear.
_CLASS_COLOURS: tuple[Colour, ...] = (
    (213, 94, 0),
    (0, 158, 115),
    (0, 114, 178),
    (240, 228, 66),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
)
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (30, 30, 30)
_TALLEST = 3  # times a tile's width that its height may be
_GAP = 8  # pixels between tiles
_TEXT = 14  # pixels; size of captions
_LINE = 17  # pixels from one line of a caption to the next
_MAX_LINES = 3
_ROOMY = 6  # times a tag's area from which a box may hold its own tag

_Rectangle = tuple[int, int, int, int]  # outermost pixels: left, top, right, bottom


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    """Return a colour for each class; from the eighth on they repeat."""
    return {name: _CLASS_COLOURS[place % len(_CLASS_COLOURS)] for place, name in enumerate(classes)}


def enlarged(image: np.ndarray, width: int) -> tuple[np.ndarray, float]:
    """Resize (h, w, 3) to this width, very tall images to less; return it and the factor for boxes."""
    factor = min(width / image.shape[1], _TALLEST * width / image.shape[0])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST if factor >= 4 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=method), factor


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    colours: Sequence[Colour],
    captions: Sequence[str] | None = None,
    thickness: int | None = None,
) -> np.ndarray:
    """Draw boxes with captions on a copy of an image.

    Args:
        image: (h, w, 3) uint8 RGB.
        boxes: (n, 4) xyxy pixels, half-open.
        colours: one a box.
        captions: one a box, "" for none; on a tag beside the box where it covers no other box, or in a large box. A
            caption without such a place is left out.
        thickness: of the lines, pixels; None = by the size of the image.

    Returns:
        A new array of the image's shape.
    """
    height, width = image.shape[:2]
    thickness = thickness or max(1, round(max(height, width) / 250))
    canvas = Image.fromarray(np.ascontiguousarray(image))
    pen = ImageDraw.Draw(canvas)
    corners = [_pixels(box) for box in np.asarray(boxes, dtype=float).reshape(-1, 4)]
    for corner, colour in zip(corners, colours, strict=True):
        pen.rectangle(corner, outline=colour, width=thickness)
    size = max(10, round(max(height, width) / 45))
    taken = list(corners)
    for corner, colour, caption in zip(corners, colours, captions or [""] * len(corners), strict=True):
        if caption:
            text = drawn(caption)
            tag = _tag(pen, corner, text, colour, _font(size, text), (width, height), taken)
            taken += [tag] if tag else []
    return np.array(canvas)


def contact_sheet(
    tiles: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int,
    tile_width: int = 320,
    title: str = "",
    legend: Sequence[tuple[str, Colour]] = (),
) -> np.ndarray:
    """Lay images out in rows, a caption under each, a title and a legend of colours on top, on (H, W, 3) uint8 white.

    Tiles (h, w, 3) uint8 are scaled to `tile_width` pixels; see `enlarged`. Captions are broken into lines of that
    width, at most _MAX_LINES.
    """
    pictures = [tile if tile.shape[1] == tile_width else enlarged(tile, tile_width)[0] for tile in tiles]
    columns = max(1, min(columns, len(pictures)))
    legend = [(drawn(name), colour) for name, colour in legend]
    line = 22
    lines = [_broken(drawn(caption), tile_width) for caption in captions]
    rows = [list(range(start, min(start + columns, len(pictures)))) for start in range(0, len(pictures), columns)]
    heights = [
        max(pictures[i].shape[0] for i in row) + line + _LINE * (max(len(lines[i]) for i in row) - 1) + _GAP
        for row in rows
    ]
    width = columns * (tile_width + _GAP) + _GAP
    swatches = _swatches(legend, width, line)
    head = _GAP + (line + 4 if title else 0) + (max(y for _, y in swatches) + line if swatches else 0)
    sheet = Image.new("RGB", (width, head + sum(heights) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write_line(pen, (_GAP, _GAP), title, 18, width - 2 * _GAP)
    top = _GAP + (line + 4 if title else 0)
    for (name, colour), (x, y) in zip(legend, swatches, strict=True):
        pen.rectangle((x, top + y + 2, x + 13, top + y + 15), fill=colour, outline=_INK)
        _write_line(pen, (x + 20, top + y), name, _TEXT, width)
    top = head
    for row, row_height in zip(rows, heights, strict=True):
        for place, i in enumerate(row):
            left, below = _GAP + place * (tile_width + _GAP), top + pictures[i].shape[0] + 3
            sheet.paste(Image.fromarray(np.ascontiguousarray(pictures[i])), (left, top))
            for number, text in enumerate(lines[i]):
                _write_line(pen, (left, below + number * _LINE), text, _TEXT, tile_width)
        top += row_height
    return np.array(sheet)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (h, w, 3) uint8 RGB as PNG, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(image)).save(temporary, "PNG")


def _font(size: int, text: str) -> ImageFont.FreeTypeFont:
    """Return the font that draws a text, else the default one."""
    return _truetype(font_for(text) or DEFAULT, size)


_truetype = cache(ImageFont.truetype)


def _write_line(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, width: int) -> None:
    """Write a line of text, shortened to `width` pixels."""
    text = drawn(text)
    font = _font(size, text)
    pen.text(place, _shortened(text, font, width), _INK, font)


def _pixels(box: np.ndarray) -> _Rectangle:
    """Return the outermost pixels of a half-open box; a thin box covers one."""
    left, top = math.floor(box[0]), math.floor(box[1])
    return left, top, max(left, math.ceil(box[2]) - 1), max(top, math.ceil(box[3]) - 1)


def _tag(
    pen: ImageDraw.ImageDraw,
    corner: _Rectangle,
    caption: str,
    colour: Colour,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
    taken: Sequence[_Rectangle],
) -> _Rectangle | None:
    """Draw a tag at a box where it covers nothing of `taken`; return its place, None if there is none."""
    left, top, right, bottom = pen.textbbox((0, 0), caption, font=font)
    place = _free_place(corner, (int(right - left) + 4, int(bottom - top) + 4), size, taken)
    if place is None:
        return None
    pen.rectangle(place, fill=colour)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    pen.text((place[0] + 2 - left, place[1] + 2 - top), caption, (0, 0, 0) if bright else (255, 255, 255), font)
    return place


def _free_place(
    box: _Rectangle, tag: tuple[int, int], size: tuple[int, int], taken: Sequence[_Rectangle]
) -> _Rectangle | None:
    """Find a place for a tag of (width, height): above, below, beside or, in a large box, inside it."""
    (left, top, right, bottom), (width, height) = box, tag
    x = max(0, min(left, size[0] - width))
    around = [(x, top - height), (x, bottom + 1), (right + 1, top), (left - width, top)]
    places = [(x, y, x + width - 1, y + height - 1) for x, y in around]
    free = [place for place in places if _is_inside(place, size) and not any(_overlap(place, one) for one in taken)]
    if free:
        return free[0]
    inside_x, inside_y = max(0, min(left, size[0] - width)), max(0, min(top, size[1] - height))
    inside = (inside_x, inside_y, inside_x + width - 1, inside_y + height - 1)
    roomy = (right - left + 1) * (bottom - top + 1) >= _ROOMY * width * height
    others = [one for one in taken if one != box]
    return inside if roomy and not any(_overlap(inside, one) for one in others) else None


def _is_inside(place: _Rectangle, size: tuple[int, int]) -> bool:
    return place[0] >= 0 and place[1] >= 0 and place[2] < size[0] and place[3] < size[1]


def _overlap(first: _Rectangle, second: _Rectangle) -> bool:
    return first[0] <= second[2] and second[0] <= first[2] and first[1] <= second[3] and second[1] <= first[3]


def _broken(text: str, width: int) -> list[str]:
    """Break a text at spaces into lines of at most `width` pixels; the last of _MAX_LINES holds what is left."""
    font, lines = _font(_TEXT, text), [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(longer) <= width or not lines[-1] or len(lines) == _MAX_LINES:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return the text, or its start and end around an ellipsis, at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    for kept in reversed(range(2, len(text))):
        shorter = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if font.getlength(shorter) <= width:
            return shorter
    return "…"


def _swatches(legend: Sequence[tuple[str, Colour]], width: int, line: int) -> list[tuple[int, int]]:
    """Return x, and y below the legend's top, of each entry."""
    places, x, y = [], _GAP, 0
    for name, _ in legend:
        needed = 20 + math.ceil(_font(_TEXT, name).getlength(name)) + 18
        if x > _GAP and x + needed > width:
            x, y = _GAP, y + line
        places.append((x, y))
        x += needed
    return places
