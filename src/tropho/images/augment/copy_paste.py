"""Copy-paste (Ghiasi et al., 2021): objects of one image on free ground of another, their edges blended."""

import cv2
import numpy as np

from tropho.images.annotated import AnnotatedImage
from tropho.images.augment.field_of_view import Field, field_of_view
from tropho.orientation import SYMMETRIES, turn_boxes, turn_image

PLACES = 8
"""Places that are tried for each."""

EVEN = 0.8
"""Of a place's usual light, which none of its pixels but the darkest twentieth may fall below."""

GAIN = (0.6, 1.6)
"""Least and most by which an object's colours are multiplied to fit the light and stain of the ground it lands on."""


def margin(boxes: np.ndarray) -> np.ndarray:
    """Ground that goes with each object (n,), pixels on every side: a quarter of its longer side, at least 3."""
    return np.maximum(3, np.ceil((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) / 4)).astype(int)


def standing_clear(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """(n,) bool: the boxes (n, 4) that, grown by their margins, lie in the image and touch no other box."""
    around = margin(boxes)[:, None]
    low, high = boxes[:, :2] - around, boxes[:, 2:] + around
    inside = (low >= 0).all(axis=1) & (high <= [width, height]).all(axis=1)
    meets = (low[:, None] < boxes[None, :, 2:]).all(axis=2) & (high[:, None] > boxes[None, :, :2]).all(axis=2)
    np.fill_diagonal(meets, False)
    return inside & ~meets.any(axis=1)


def paste(scene: AnnotatedImage, donor: AnnotatedImage, rows: np.ndarray, rng: np.random.Generator) -> AnnotatedImage:
    """Add objects of another scene.

    Each is turned by one of the eight symmetries, and lands inside the field of view, clear of all boxes, on
    ground without dark spots, which might be unlabelled objects. Its colours are multiplied by those of the
    ground there over those of the ground it came from, as light that passes both would be, and a margin of its
    own ground is faded in. What finds no place, or would have to change its colours too far, is left out.

    Args:
        scene: receives them; not changed.
        donor: where they are from.
        rows: (k,) rows of `donor.boxes`; see `standing_clear`.
        rng: draws turns and places.
    """
    image, boxes = scene.image.copy(), list(scene.boxes)
    labels = list(scene.labels)
    field = field_of_view(image)
    for row in rows:
        patch, box = _patch(donor, row, str(rng.choice(list(SYMMETRIES))))
        for left, top in _places(field, np.array(boxes).reshape(-1, 4), patch.shape, rng):
            ground = image[top : top + patch.shape[0], left : left + patch.shape[1]]
            if not _is_even(ground):
                continue
            if _blend(ground, patch, box):
                boxes.append(box + np.array([left, top, left, top], np.float32))
                labels.append(donor.labels[row])
            break
    return AnnotatedImage(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64))


def _patch(donor: AnnotatedImage, row: int, symmetry: str) -> tuple[np.ndarray, np.ndarray]:
    """An object with its margin (h, w, 3), turned, and its box (4,) in it."""
    box = donor.boxes[row]
    around = int(margin(box[None])[0])
    left, top = np.floor(box[:2]).astype(int) - around
    right, bottom = np.ceil(box[2:]).astype(int) + around
    left, top = max(left, 0), max(top, 0)
    patch = donor.image[top:bottom, left:right]
    moved = (box - np.array([left, top, left, top], np.float32))[None]
    return turn_image(patch, symmetry), turn_boxes(moved, symmetry, patch.shape[1], patch.shape[0])[0]


def _places(field: Field, boxes: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Some corners (left, top) where a patch lies in the field and clear of the boxes, in a random order."""
    height, width = shape[:2]
    kernel = np.ones([-(-side // field.step) // 2 * 2 + 3 for side in (height, width)], np.uint8)
    edge = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    free = cv2.erode(field.inside.astype(np.uint8), kernel, **edge).astype(bool)
    x, y = field.middles()
    reach_x, reach_y = (width + field.step) / 2, (height + field.step) / 2
    for xmin, ymin, xmax, ymax in boxes:
        near = (y > ymin - reach_y) & (y < ymax + reach_y)
        free[np.ix_(near, (x > xmin - reach_x) & (x < xmax + reach_x))] = False
    cells = np.argwhere(free)
    chosen = cells[rng.permutation(len(cells))[:PLACES]]
    corners = (chosen + rng.random((len(chosen), 2))) * field.step - np.array([height, width]) / 2
    return [(int(left), int(top)) for top, left in corners]


def _is_even(ground: np.ndarray) -> bool:
    light = ground.max(axis=2)
    darkest, usual = np.percentile(light, (5, 50))
    return bool(darkest >= EVEN * usual)


def _blend(ground: np.ndarray, patch: np.ndarray, box: np.ndarray) -> bool:
    """Draw a patch over the ground of its size, in place; False, and nothing drawn, if the two do not match."""
    height, width = patch.shape[:2]
    weight = _ramp(box[1], box[3], height)[:, None] * _ramp(box[0], box[2], width)[None, :]
    rim = patch[weight < 1].astype(np.float32)
    gain = np.median(ground.reshape(-1, 3), axis=0) / np.maximum(np.median(rim, axis=0), 1)
    if gain.min() < GAIN[0] or gain.max() > GAIN[1]:
        return False
    over = ground.astype(np.float32)
    over += weight[:, :, None] * (patch * gain.astype(np.float32) - over)
    ground[:] = np.clip(over.round(), 0, 255).astype(np.uint8)
    return True


def _ramp(low: float, high: float, length: int) -> np.ndarray:
    """(length,) float32: 1 from low to high, falling smoothly to 0 at both ends."""
    at = np.arange(length, dtype=np.float32) + 0.5
    rise = np.interp(at, [0, low, high, length], [0, 1, 1, 0])
    return (rise * rise * (3 - 2 * rise)).astype(np.float32)
