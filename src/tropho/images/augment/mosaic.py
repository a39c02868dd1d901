"""Mosaic (Bochkovskiy et al., 2020): four pieces of four images in the place of one, at their own scale."""

from collections.abc import Callable

import numpy as np

from tropho.images.annotated import AnnotatedImage
from tropho.images.augment.crop import choose_window, cut

EDGE = 0.25
"""The point where the four meet keeps away from the edges by this share of the side."""


def mosaic(
    scene: AnnotatedImage, partner: Callable[[], AnnotatedImage], around: float, rng: np.random.Generator
) -> AnnotatedImage:
    """Make a picture of a scene's size from a piece of it and of three others.

    Nothing is scaled, since size tells cells apart. A piece that its image can't fill is black below or right.

    Args:
        scene: gives the upper left piece.
        partner: draws another scene.
        around: probability of a piece around an object; see `choose_window`.
        rng: draws the point where the pieces meet, and the windows.
    """
    width, height = scene.size
    x, y = (int(side * rng.uniform(EDGE, 1 - EDGE)) for side in (width, height))
    places = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
    image = np.zeros_like(scene.image)
    boxes, labels = [], []
    for number, (left, top, right, bottom) in enumerate(places):
        source = partner() if number else scene
        piece = cut(source, *choose_window(source, right - left, bottom - top, around, rng))
        piece_width, piece_height = piece.size
        image[top : top + piece_height, left : left + piece_width] = piece.image
        boxes.append(piece.boxes + np.array([left, top, left, top], np.float32))
        labels.append(piece.labels)
    return AnnotatedImage(image, np.concatenate(boxes), np.concatenate(labels))
