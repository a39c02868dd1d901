"""Mosaic (Bochkovskiy et al., 2020), copy-paste (Ghiasi et al., 2021), and the images and objects they take."""

from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np

from tropho.images.annotated import REGION, AnnotatedImage, AnnotatedImages
from tropho.images.augment.crop import Field, choose_window, crop, field_of_view
from tropho.orientation import SYMMETRIES, turn_boxes, turn_image

MOSAIC_MARGIN = 0.25  # share of a side by which the point where a mosaic's pieces meet keeps away from the edges

MAX_PASTED = 6  # objects that an image receives at most

MAX_PLACES = 8  # places that are tried for each object

EVEN_LIGHT = 0.8  # of a place's median light, which all but the darkest twentieth of its pixels must reach

GAIN_LIMITS = (0.6, 1.6)
"""Lowest and highest factor by which an object's colours are fitted to the light and stain of its new ground."""


class DonorSampler:
    """Draws images for mosaics, and objects to paste.

    An image takes only from images that ignore no class that it does not ignore itself, and no object of a class that
    it ignores.
    """

    def __init__(self, scenes: AnnotatedImages) -> None:
        self._scenes = scenes
        self._pools: dict[bytes, np.ndarray] = {}
        self._objects: dict[bytes, list[np.ndarray]] = {}

    def draw(self, number: int, rng: np.random.Generator) -> AnnotatedImage:
        """Draw an image to mix into image `number`, uniformly, itself included."""
        return self._scenes[int(rng.choice(self._pool(self._scenes.ignored[number])))]

    def draw_donor(self, number: int, rng: np.random.Generator) -> tuple[AnnotatedImage, np.ndarray] | None:
        """Draw an image and 1 to MAX_PASTED rows (k,) of its boxes to paste into image `number`; None without objects.

        The class is drawn before the first object, so that classes are balanced; the others are of the same image.
        """
        by_class = self._objects_for(self._scenes.ignored[number])
        if not by_class:
            return None
        image, first, _ = rng.choice(by_class[int(rng.integers(len(by_class)))])
        objects = np.concatenate(by_class)
        others = objects[(objects[:, 0] == image) & (objects[:, 1] != first), 1]
        rows = np.concatenate([[first], rng.permutation(others)])
        return self._scenes[int(image)], rows[: int(rng.integers(1, MAX_PASTED + 1))]

    def _pool(self, ignored: np.ndarray) -> np.ndarray:
        """Return the numbers of the images that ignore no other class."""
        key = ignored.tobytes()
        if key not in self._pools:
            self._pools[key] = np.flatnonzero((~self._scenes.ignored | ignored).all(axis=1))
        return self._pools[key]

    def _objects_for(self, ignored: np.ndarray) -> list[np.ndarray]:
        """Return (k, 3) image, row and label of the objects of each class that is not ignored."""
        key = ignored.tobytes()
        if key not in self._objects:
            allowed = self._separate[np.isin(self._separate[:, 0], self._pool(ignored))]
            labels = [label for label in np.unique(allowed[:, 2]) if not ignored[label]]
            self._objects[key] = [allowed[allowed[:, 2] == label] for label in labels]
        return self._objects[key]

    @cached_property
    def _separate(self) -> np.ndarray:
        """(n, 3) image, row and label of every object that can be cut out by itself."""
        objects = [np.zeros((0, 3), np.int64)]
        for number in range(len(self._scenes)):
            boxes, labels = self._scenes.targets(number)
            rows = np.flatnonzero(is_separate(boxes, *self._scenes.size_of(number)) & (labels != REGION))
            objects.append(np.column_stack([np.full(len(rows), number), rows, labels[rows]]))
        return np.concatenate(objects)


def mosaic(
    scene: AnnotatedImage, donor: Callable[[], AnnotatedImage], object_prob: float, rng: np.random.Generator
) -> AnnotatedImage:
    """Compose an image of a scene's size from a piece of it, at the upper left, and of three donors.

    Nothing is scaled, since size tells cells apart. A piece that its image can't fill is black below or right.
    `object_prob` is that of a piece around an object; see `choose_window`.
    """
    width, height = scene.size
    x, y = (int(side * rng.uniform(MOSAIC_MARGIN, 1 - MOSAIC_MARGIN)) for side in (width, height))
    places = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
    image = np.zeros_like(scene.image)
    boxes, labels = [], []
    for number, (left, top, right, bottom) in enumerate(places):
        source = donor() if number else scene
        piece = crop(source, *choose_window(source, right - left, bottom - top, object_prob, rng))
        piece_width, piece_height = piece.size
        image[top : top + piece_height, left : left + piece_width] = piece.image
        boxes.append(piece.boxes + np.array([left, top, left, top], np.float32))
        labels.append(piece.labels)
    return AnnotatedImage(image, np.concatenate(boxes), np.concatenate(labels))


def margin(boxes: np.ndarray) -> np.ndarray:
    """Return the ground (n,) that is cut out with each object, pixels a side: a quarter of its longer side, min. 3."""
    return np.asarray(np.maximum(3, np.ceil((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) / 4)), int)


def is_separate(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Tell which boxes (n, 4) with their margins lie in the image and touch no other box, (n,) bool."""
    around = margin(boxes)[:, None]
    low, high = boxes[:, :2] - around, boxes[:, 2:] + around
    inside = (low >= 0).all(axis=1) & (high <= [width, height]).all(axis=1)
    touches = (low[:, None] < boxes[None, :, 2:]).all(axis=2) & (high[:, None] > boxes[None, :, :2]).all(axis=2)
    np.fill_diagonal(touches, False)
    return np.asarray(inside & ~touches.any(axis=1))


def paste(scene: AnnotatedImage, donor: AnnotatedImage, rows: np.ndarray, rng: np.random.Generator) -> AnnotatedImage:
    """Paste objects of another image (rows (k,) of its boxes, see `is_separate`) at free places in the field of view.

    Each is flipped or rotated, multiplied by the ratio of the grounds' colours, and faded in over its margin. An object
    is left out without a place that is clear of boxes and dark spots, or with a ratio beyond GAIN_LIMITS.
    """
    image, boxes, labels = scene.image.copy(), list(scene.boxes), list(scene.labels)
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
    """Cut out an object with its margin (h, w, 3), flipped or rotated, and its box (4,) in it."""
    box = donor.boxes[row]
    around = int(margin(box[None])[0])
    left, top = np.maximum(np.floor(box[:2]).astype(int) - around, 0)
    right, bottom = np.ceil(box[2:]).astype(int) + around
    patch = donor.image[top:bottom, left:right]
    moved = (box - np.array([left, top, left, top], np.float32))[None]
    return turn_image(patch, symmetry), turn_boxes(moved, symmetry, patch.shape[1], patch.shape[0])[0]


def _places(field: Field, boxes: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw corners (left, top) where a patch lies in the field and clear of the boxes."""
    height, width = shape[:2]
    kernel = np.ones([-(-side // field.step) // 2 * 2 + 3 for side in (height, width)], np.uint8)
    free = cv2.erode(field.inside.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)
    x, y = field.middles()
    reach_x, reach_y = (width + field.step) / 2, (height + field.step) / 2
    for xmin, ymin, xmax, ymax in boxes:
        near = (y > ymin - reach_y) & (y < ymax + reach_y)
        free[np.ix_(near, (x > xmin - reach_x) & (x < xmax + reach_x))] = False
    cells = np.argwhere(free)
    cells = cells[rng.permutation(len(cells))[:MAX_PLACES]]
    corners = (cells + rng.random((len(cells), 2))) * field.step - np.array([height, width]) / 2
    return [(int(left), int(top)) for top, left in corners]


def _is_even(ground: np.ndarray) -> bool:
    darkest, median = np.percentile(ground.max(axis=2), (5, 50))
    return bool(darkest >= EVEN_LIGHT * median)


def _blend(ground: np.ndarray, patch: np.ndarray, box: np.ndarray) -> bool:
    """Blend a patch into the ground of its size, in place; False, without a change, if their colours differ too far."""
    height, width = patch.shape[:2]
    weight = _ramp(box[1], box[3], height)[:, None] * _ramp(box[0], box[2], width)[None, :]  # (h, w)
    rim = patch[weight < 1].astype(np.float32)
    gain = np.median(ground.reshape(-1, 3), axis=0) / np.maximum(np.median(rim, axis=0), 1)
    if gain.min() < GAIN_LIMITS[0] or gain.max() > GAIN_LIMITS[1]:
        return False
    blended = ground.astype(np.float32)
    blended += weight[:, :, None] * (patch * gain.astype(np.float32) - blended)
    ground[:] = np.clip(blended.round(), 0, 255).astype(np.uint8)
    return True


def _ramp(low: float, high: float, length: int) -> np.ndarray:
    """Return weights (length,) float32: 1 from low to high, falling smoothly to 0 at both ends."""
    at = np.arange(length, dtype=np.float32) + 0.5
    rise = np.interp(at, [0, low, high, length], [0, 1, 1, 0])
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)
