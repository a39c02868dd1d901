"""A density picture that things are put on, clear of each other and of the dark edge."""

from dataclasses import dataclass

import numpy as np

from smear_generator.field import Disc
from smear_generator.shapes import Array

VISIBLE = 0.1  # optical density from which a stroke counts as part of its object


@dataclass(frozen=True)
class Box:
    """What is drawn where: half-open integer pixels."""

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


def stamp(density: Array, patch: Array, x: int, y: int) -> None:
    """Add a patch (3, side, side) to a density (3, height, width), middle on (x, y); cut what is outside."""
    height, width = density.shape[1:]
    top, left = y - patch.shape[1] // 2, x - patch.shape[2] // 2
    rows = slice(max(0, top), min(height, top + patch.shape[1]))
    columns = slice(max(0, left), min(width, left + patch.shape[2]))
    if rows.start < rows.stop and columns.start < columns.stop:
        density[:, rows, columns] += patch[
            :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


def tight_box(label: str, density: Array, patch: Array, x: int, y: int) -> Box:
    """The box of a patch's visible part where `stamp` puts it, cut to the picture."""
    height, width = density.shape[1:]
    top, left = y - patch.shape[1] // 2, x - patch.shape[2] // 2
    rows, columns = np.nonzero(patch.max(axis=0) > VISIBLE)
    return Box(
        label,
        max(0, left + int(columns.min())),
        max(0, top + int(rows.min())),
        min(width, left + int(columns.max()) + 1),
        min(height, top + int(rows.max()) + 1),
    )


class Canvas:
    """The density of a field of view, and the places on it that are taken."""

    def __init__(self, rng: np.random.Generator, disc: Disc, density: Array) -> None:
        self.rng, self.disc, self.density = rng, disc, density
        self._taken: list[tuple[float, float, float]] = []

    def place(self, radius: float, tries: int) -> tuple[int, int] | None:
        """Take a free place (x, y) with `radius` pixels around it; None where none was found."""
        height, width = self.density.shape[1:]
        for x, y in self.rng.uniform((radius, radius), (width - radius, height - radius), (tries, 2)):
            inside = np.hypot(x - self.disc.x, y - self.disc.y) < 0.93 * self.disc.radius - radius
            if inside and all(np.hypot(x - a, y - b) > radius + r for a, b, r in self._taken):
                self._taken.append((x, y, radius))
                return int(x), int(y)
        return None
