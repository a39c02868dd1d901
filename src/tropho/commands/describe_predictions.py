"""Show predictions to people: sentences, counts, parasites per microlitre, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.images import draw
from tropho.tables import BOX

WHITE_CELLS_PER_MICROLITRE = 8000
"""Assumed of every patient, as the World Health Organization's manuals of malaria microscopy do."""

PICTURE_WIDTH = 640, 1600
"""Least and largest width of a drawn image, pixels."""


@dataclass(frozen=True)
class Density:
    """Parasites of an image or of several of one patient, counted against white blood cells.

    Attributes:
        parasites: boxes of the classes `report.parasites`.
        white_cells: boxes of the classes `report.white_cells`.
    """

    parasites: int
    white_cells: int

    @property
    def per_white_cell(self) -> float | None:
        """Parasites per white cell; None without a white cell."""
        return self.parasites / self.white_cells if self.white_cells else None

    @property
    def per_microlitre(self) -> float | None:
        """Estimate of parasites per microlitre of blood; None without a white cell."""
        return None if self.per_white_cell is None else self.per_white_cell * WHITE_CELLS_PER_MICROLITRE

    def __str__(self) -> str:
        if self.per_white_cell is None:
            return "no white cell to count parasites against"
        return f"{self.per_white_cell:.2f} parasites per white cell, about {self.per_microlitre:,.0f} per microlitre"


def density_of(counts: Mapping[Any, int], settings: TaskConfig) -> Density | None:
    """Add up parasites and white cells; None where the settings name no classes of either."""
    parasites, white_cells = settings.report.parasites, settings.report.white_cells
    if not parasites or not white_cells:
        return None
    return Density(*(sum(counts.get(name, 0) for name in names) for names in (parasites, white_cells)))


def above_thresholds(table: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Select the boxes of an image or of several that are shown: those of a class, from its threshold on."""
    least = table["label"].map(dict(thresholds)).to_numpy(np.float64, na_value=np.inf)
    return table[table["score"].to_numpy(np.float64) >= least].reset_index(drop=True)


def count_boxes(boxes: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    """Count the boxes of each class, in the order of `classes`."""
    counts = boxes["label"].value_counts()
    return {name: int(counts.get(name, 0)) for name in classes}


def count_images(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    """Count the images of each likeliest class; `table` has p_CLASS of each class, a row for each image."""
    likeliest = table[[f"p_{name}" for name in classes]].to_numpy(np.float64).argmax(axis=1)
    counts = np.bincount(likeliest, minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, counts, strict=True)}


def counts_table(
    boxes: pd.DataFrame, names: Sequence[str], classes: Sequence[str], settings: TaskConfig
) -> pd.DataFrame:
    """Count the boxes of each image by class.

    Args:
        boxes: tables.DETECTIONS, those that are shown.
        names: image_ids, one row each.
        classes: one column each.
        settings: say which classes are parasites and white cells.

    Returns:
        image_id and the counts; where the settings name the classes also parasites_per_white_cell and
        parasites_per_microlitre, empty without a white cell.
    """
    rows = []
    for name in names:
        counts = count_boxes(boxes[boxes["image_id"] == name], classes)
        density = density_of(counts, settings)
        more = {}
        if density is not None:
            ratio, estimate = density.per_white_cell, density.per_microlitre
            more["parasites_per_white_cell"] = None if ratio is None else round(ratio, 3)
            more["parasites_per_microlitre"] = None if estimate is None else round(estimate)
        rows.append({"image_id": name, **counts, **more})
    return pd.DataFrame(rows)


def describe_boxes(boxes: pd.DataFrame, classes: Sequence[str], settings: TaskConfig) -> str:
    """Say in one line what was found in one image; `boxes` are those that are shown."""
    counts = count_boxes(boxes, classes)
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing found"
    density = density_of(counts, settings)
    return found if density is None or density.parasites == 0 else f"{found}; {density}"


def describe_class(row: Mapping[Any, Any], classes: Sequence[str], thresholds: Mapping[str, float] | None) -> str:
    """Say in one line which class an image is of.

    Args:
        row: p_CLASS of each class.
        classes: names.
        thresholds: by class; a class below its own is uncertain. None: none is.
    """
    name = max(classes, key=lambda each: row[f"p_{each}"])
    probability = row[f"p_{name}"]
    doubt = " (uncertain)" if thresholds and probability < thresholds[name] else ""
    return f"{name} {probability:.3f}{doubt}"


def draw_detections(image: np.ndarray, boxes: pd.DataFrame, classes: Sequence[str], title: str = "") -> np.ndarray:
    """Draw boxes with their scores on an image, below a legend with the number of each class.

    Args:
        image: (h, w, 3) uint8 RGB.
        boxes: tables.DETECTIONS of the image, those that are shown.
        classes: names, which fix the colours.
        title: a line on top.

    Returns: (H, W, 3) uint8 RGB.
    """
    picture, factor = draw.enlarged(image, int(np.clip(image.shape[1], *PICTURE_WIDTH)))
    colours, counts = draw.class_colours(classes), count_boxes(boxes, classes)
    drawn = draw.draw_boxes(
        picture,
        boxes[BOX].to_numpy(np.float64) * factor,
        [colours[name] for name in boxes["label"]],
        [f"{score:.2f}" for score in boxes["score"]],
    )
    legend = [(f"{name} ({counts[name]})", colours[name]) for name in classes]
    return draw.contact_sheet([drawn], [""], 1, drawn.shape[1], title, legend)


def draw_class(image: np.ndarray, caption: str, title: str = "") -> np.ndarray:
    """Write a caption below an image (h, w, 3); returns (H, W, 3) uint8 RGB."""
    picture, _ = draw.enlarged(image, int(np.clip(image.shape[1], *PICTURE_WIDTH)))
    return draw.contact_sheet([picture], [caption], 1, picture.shape[1], title, ())
