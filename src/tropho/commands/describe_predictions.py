"""Predict images and show what was found to people: sentences, counts, parasites per microlitre, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.commands.load_model import LoadedModel
from tropho.config.task_config import TaskConfig
from tropho.data.audit.missing_labels import ignored_in
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


def predict_file(model: LoadedModel, file: Path, name: str) -> pd.DataFrame:
    """Predict one image file, post-processed; raise DataError if it can't be read."""
    ensemble = model.ensemble
    raw = ensemble.predict_file(file, name)
    return ensemble.postprocess([raw], ignored_in({name: file}, ensemble.findings))


def shown_part(model: LoadedModel, table: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Leave out boxes below their threshold, and the negative class; probabilities of classes stay."""
    if not model.is_detection:
        return table
    least = table["label"].map(dict(thresholds)).to_numpy(np.float64, na_value=np.inf)
    return table[table["score"].to_numpy(np.float64) >= least].reset_index(drop=True)


def count_shown(model: LoadedModel, shown: pd.DataFrame) -> dict[str, int]:
    """Count the boxes of each class, or the images by their likeliest class, in the order of the classes."""
    columns = [f"p_{name}" for name in model.classes]
    labels = shown["label"] if model.is_detection else shown[columns].astype(float).idxmax(axis=1).str[2:]
    counts = labels.value_counts()
    return {name: int(counts.get(name, 0)) for name in model.classes}


def counts_table(model: LoadedModel, shown: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Count the boxes of each image by class.

    Args:
        model: knows the classes, and which of them are parasites and white cells.
        shown: boxes of the images.
        names: image_ids, one row each.

    Returns:
        image_id and the counts; where the settings name the classes also parasites_per_white_cell and
        parasites_per_microlitre, empty without a white cell.
    """
    rows = []
    for name in names:
        counts = count_shown(model, shown[shown["image_id"] == name])
        density = density_of(counts, model.settings)
        more = {}
        if density is not None:
            ratio, estimate = density.per_white_cell, density.per_microlitre
            more["parasites_per_white_cell"] = None if ratio is None else round(ratio, 3)
            more["parasites_per_microlitre"] = None if estimate is None else round(estimate)
        rows.append({"image_id": name, **counts, **more})
    return pd.DataFrame(rows)


def describe_image(model: LoadedModel, shown: pd.DataFrame, thresholds: Mapping[str, float] | None = None) -> str:
    """Say in one line what was found in one image.

    Args:
        model: predicted it.
        shown: result of `shown_part`.
        thresholds: by class; a class of images below its own is uncertain. None: none is.
    """
    if not model.is_detection:
        row = shown.iloc[0].to_dict()
        name = max(model.classes, key=lambda each: row[f"p_{each}"])
        probability = row[f"p_{name}"]
        doubt = " (uncertain)" if thresholds and probability < thresholds[name] else ""
        return f"{name} {probability:.3f}{doubt}"
    counts = count_shown(model, shown)
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing found"
    density = density_of(counts, model.settings)
    return found if density is None or density.parasites == 0 else f"{found}; {density}"


def draw_image(model: LoadedModel, image: np.ndarray, shown: pd.DataFrame, title: str = "") -> np.ndarray:
    """Draw boxes with their scores on an image, below a legend with the number of each class.

    Args:
        model: knows the classes, which fix the colours; images of classes are drawn without boxes.
        image: (h, w, 3) uint8 RGB.
        shown: result of `shown_part`.
        title: a line on top.

    Returns: (H, W, 3) uint8 RGB.
    """
    picture, factor = draw.enlarged(image, int(np.clip(image.shape[1], *PICTURE_WIDTH)))
    legend: list[tuple[str, draw.Colour]] = []
    if model.is_detection:
        colours, counts = draw.class_colours(model.classes), count_shown(model, shown)
        corners = shown[BOX].to_numpy(np.float64) * factor
        scores = [f"{score:.2f}" for score in shown["score"]]
        picture = draw.draw_boxes(picture, corners, [colours[name] for name in shown["label"]], scores)
        legend = [(f"{name} ({counts[name]})", colours[name]) for name in model.classes]
    return draw.contact_sheet([picture], [""], 1, picture.shape[1], title, legend)
