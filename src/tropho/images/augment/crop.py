"""Windows on a scene: cut out with the boxes that stay visible, laid around objects or away from them."""

import cv2
import numpy as np

from tropho.images.annotated import REGION, AnnotatedImage
from tropho.images.augment.field_of_view import field_of_view
from tropho.images.augment.policies import MIN_VISIBILITY

TRIES = 10
"""Windows that are looked at for one without objects."""


def cut(scene: AnnotatedImage, left: int, top: int, width: int, height: int) -> AnnotatedImage:
    """The part of a scene in a window that lies inside it.

    Boxes are cut at the window's edges; those of which less than MIN_VISIBILITY of the area is left go. Of an
    ignored region every part stays.
    """
    image = scene.image[top : top + height, left : left + width]
    moved = scene.boxes - np.array([left, top, left, top], np.float32)
    inside = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
    least = np.where(scene.labels == REGION, 0.0, MIN_VISIBILITY) * _areas(moved)
    kept = _areas(inside) >= np.maximum(least, np.finfo(np.float32).tiny)
    return AnnotatedImage(image, inside[kept], scene.labels[kept])


def choose_window(
    scene: AnnotatedImage, width: int, height: int, around: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Lay a window on a scene; sides longer than the scene's are shortened to them.

    Args:
        scene: with its boxes.
        width: pixels.
        height: pixels.
        around: probability of a window around one of the objects, every object as likely, which lies anywhere
            in it and whole if it fits. Other windows lie anywhere in the field of view, away from objects
            where TRIES draws find such a place, else where they show the fewest.
        rng: decides.

    Returns:
        left, top, width, height.
    """
    whole = np.array(scene.size)
    sides = np.minimum([width, height], whole)
    room = whole - sides
    if not room.any():
        corner = room
    elif len(objects := scene.boxes[scene.labels != REGION]) and rng.random() < around:
        box = objects[rng.integers(len(objects))]
        ends = np.sort([box[2:] - sides, box[:2]], axis=0)  # the object is whole between these corners
        corner = np.clip(rng.uniform(*ends).round().astype(int), 0, room)
    else:
        corner = _away(scene, sides, room, rng)
    return int(corner[0]), int(corner[1]), int(sides[0]), int(sides[1])


def zoomed(scene: AnnotatedImage, factor: float) -> AnnotatedImage:
    """A scene at `factor` times its size, sides rounded to whole pixels."""
    width, height = scene.size
    new = max(1, round(width * factor)), max(1, round(height * factor))
    if new == (width, height):
        return scene
    image = cv2.resize(scene.image, new, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    scale = np.array([new[0] / width, new[1] / height] * 2, np.float32)
    return AnnotatedImage(image, scene.boxes * scale, scene.labels)


def _away(scene: AnnotatedImage, sides: np.ndarray, room: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The corner (2,) of the window with the fewest objects' middles of those tried."""
    field = field_of_view(scene.image)
    middles = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    best, fewest = np.zeros(2, int), np.inf
    for _ in range(TRIES):
        corner = np.clip(np.round(field.draw(rng) - sides / 2).astype(int), 0, room)
        count = ((middles >= corner) & (middles < corner + sides)).all(axis=1).sum()
        if count < fewest:
            best, fewest = corner, count
        if not count:
            break
    return best


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1)
