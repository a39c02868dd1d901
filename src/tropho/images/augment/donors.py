"""Which images and objects may be mixed into an image."""

from functools import cached_property

import numpy as np

from tropho.images.annotated import REGION, AnnotatedImage, AnnotatedImages
from tropho.images.augment.copy_paste import standing_clear

MOST = 6
"""Objects that an image receives at most."""


class DonorSampler:
    """Draws images to make mosaics with, and objects to paste.

    An image takes only from images that leave no further class unlabelled, so that what its own targets say to
    be absent is absent, and what they ignore need not grow. It is given no object of a class that it ignores.
    """

    def __init__(self, scenes: AnnotatedImages) -> None:
        self._scenes = scenes
        self._pools: dict[bytes, np.ndarray] = {}
        self._donors: dict[bytes, list[np.ndarray]] = {}

    def draw(self, number: int, rng: np.random.Generator) -> AnnotatedImage:
        """A scene to mix into that image, every one as likely, its own among them."""
        return self._scenes[int(rng.choice(self._pool(self._scenes.ignored[number])))]

    def draw_donor(self, number: int, rng: np.random.Generator) -> tuple[AnnotatedImage, np.ndarray] | None:
        """A scene and 1 to MOST rows (k,) of its boxes to paste into that image; None where there is no object.

        The first object's class is drawn before the object, so that a rare class comes as often as a common one.
        The others are of the same image, which is read once.
        """
        by_class = self._donors_for(self._scenes.ignored[number])
        if not by_class:
            return None
        image, first, _ = rng.choice(by_class[int(rng.integers(len(by_class)))])
        everything = np.concatenate(by_class)
        others = everything[(everything[:, 0] == image) & (everything[:, 1] != first), 1]
        rows = np.concatenate([[first], rng.permutation(others)])
        return self._scenes[int(image)], rows[: int(rng.integers(1, MOST + 1))]

    def _pool(self, ignored: np.ndarray) -> np.ndarray:
        """Numbers of the images that ignore nothing else."""
        key = ignored.tobytes()
        if key not in self._pools:
            self._pools[key] = np.flatnonzero((~self._scenes.ignored | ignored).all(axis=1))
        return self._pools[key]

    def _donors_for(self, ignored: np.ndarray) -> list[np.ndarray]:
        """(k, 3) image, row and label of the objects of each class that there is and that is not ignored."""
        key = ignored.tobytes()
        if key not in self._donors:
            allowed = self._clear[np.isin(self._clear[:, 0], self._pool(ignored))]
            wanted = [label for label in np.unique(allowed[:, 2]) if not ignored[label]]
            self._donors[key] = [allowed[allowed[:, 2] == label] for label in wanted]
        return self._donors[key]

    @cached_property
    def _clear(self) -> np.ndarray:
        """(n, 3) image, row and label of every object that can be cut out by itself."""
        found = [np.zeros((0, 3), np.int64)]
        for number in range(len(self._scenes)):
            boxes, labels = self._scenes.targets(number)
            clear = standing_clear(boxes, *self._scenes.size_of(number))
            rows = np.flatnonzero(clear & (labels != REGION))
            found.append(np.column_stack([np.full(len(rows), number), rows, labels[rows]]))
        return np.concatenate(found)
