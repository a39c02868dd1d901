"""The field of view of an image, crops around or away from its objects, and zoom."""

from dataclasses import dataclass

import cv2
import numpy as np

from tropho.images.annotated import REGION, AnnotatedImage
from tropho.images.augment.policies import MIN_VISIBILITY

MAX_TRIES = 10  # crops that are drawn to find one without objects

CELLS = 64  # of a field's map along the longer side; the field is round and large, so a coarse map is enough

DARK = 0.25  # of the bright parts' light; darker ground is outside the field, unless it is small, as a nucleus is


@dataclass(frozen=True)
class Field:
    """A coarse map of an image: `inside` (rows, columns) bool, a cell of `step` x `step` pixels each."""

    inside: np.ndarray
    step: int

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a point (2,) x, y in the field, pixels, uniformly."""
        row, column = divmod(int(rng.choice(np.flatnonzero(self.inside))), self.inside.shape[1])
        return (np.array([column, row]) + rng.random(2)) * self.step

    def middles(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the middles of the cells, pixels: x (columns,) and y (rows,)."""
        rows, columns = self.inside.shape
        return (np.arange(columns) + 0.5) * self.step, (np.arange(rows) + 0.5) * self.step


def field_of_view(image: np.ndarray) -> Field:
    """Find where (h, w, 3) uint8 shows the slide and not the dark around an eyepiece's field."""
    step = max(1, max(image.shape[:2]) // CELLS)
    light = image[step // 2 :: step, step // 2 :: step].max(axis=2)  # (rows, columns), one pixel a cell
    bright = (light > DARK * np.percentile(light, 90)).astype(np.uint8)
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)).astype(bool)
    return Field(closed if closed.any() else np.ones_like(closed), step)


def crop(scene: AnnotatedImage, left: int, top: int, width: int, height: int) -> AnnotatedImage:
    """Crop a window of pixels; boxes are clipped.

    Objects of which less than MIN_VISIBILITY of the area is left are dropped; of a region every part stays.
    """
    image = scene.image[top : top + height, left : left + width]
    moved = scene.boxes - np.array([left, top, left, top], np.float32)
    clipped = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
    min_area = np.where(scene.labels == REGION, 0.0, MIN_VISIBILITY) * _areas(moved)
    keep = _areas(clipped) >= np.maximum(min_area, np.finfo(np.float32).tiny)
    return AnnotatedImage(image, clipped[keep], scene.labels[keep])


def choose_window(
    scene: AnnotatedImage, width: int, height: int, object_prob: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw a window: left, top, width, height. Sides longer than the image's are shortened to them.

    With probability `object_prob` it is around a random object, whole if it fits. Other windows lie in the field of
    view, without objects if MAX_TRIES draws find one, else with the fewest.
    """
    size = np.array(scene.size)
    sides = np.minimum([width, height], size)
    room = size - sides
    if not room.any():
        corner = room
    elif len(objects := scene.boxes[scene.labels != REGION]) and rng.random() < object_prob:
        box = objects[rng.integers(len(objects))]
        ends = np.sort([box[2:] - sides, box[:2]], axis=0)  # the object is whole between these corners
        corner = np.clip(rng.uniform(*ends).round().astype(int), 0, room)
    else:
        corner = _away_from_objects(scene, sides, room, rng)
    return int(corner[0]), int(corner[1]), int(sides[0]), int(sides[1])


def zoom(scene: AnnotatedImage, factor: float) -> AnnotatedImage:
    """Resize an image and its boxes by a factor, sides rounded to whole pixels."""
    width, height = scene.size
    new = max(1, round(width * factor)), max(1, round(height * factor))
    if new == (width, height):
        return scene
    image = cv2.resize(scene.image, new, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    scale = np.array([new[0] / width, new[1] / height] * 2, np.float32)
    return AnnotatedImage(image, scene.boxes * scale, scene.labels)


def _away_from_objects(
    scene: AnnotatedImage, sides: np.ndarray, room: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the corner (2,) of the window with the fewest objects' middles of those tried."""
    field = field_of_view(scene.image)
    middles = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    best, fewest = np.zeros(2, int), np.inf
    for _ in range(MAX_TRIES):
        corner = np.clip(np.round(field.draw(rng) - sides / 2).astype(int), 0, room)
        count = ((middles >= corner) & (middles < corner + sides)).all(axis=1).sum()
        if count < fewest:
            best, fewest = corner, count
        if not count:
            break
    return best


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1))
