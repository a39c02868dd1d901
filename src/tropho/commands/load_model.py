"""Load a task's trained or exported models, predict images, and show what was found in words, counts and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.load import load_task
from tropho.config.task_config import TaskConfig
from tropho.data.audit.missing_labels import ignored_in
from tropho.errors import DataError, UsageError
from tropho.files import read_json
from tropho.images import draw
from tropho.inference.ensemble import FILE, Ensemble
from tropho.paths import Paths
from tropho.tables import BOX

DEFAULT_THRESHOLD = 0.5
"""Where nothing was evaluated."""
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


@dataclass(frozen=True)
class LoadedModel:
    """All models of a task, ready to predict.

    Attributes:
        ensemble: the models.
        settings: present ones, or those of the export; training may have had others.
        paths: of the task; those of an exported model name no files.
        best_thresholds: score by class that `evaluate` chose; None where nothing was evaluated.
    """

    ensemble: Ensemble
    settings: TaskConfig
    paths: Paths
    best_thresholds: dict[str, float] | None

    @property
    def is_detection(self) -> bool:
        """Whether the models find boxes; others tell the class of an image."""
        return self.settings.kind == "detection"

    @property
    def classes(self) -> list[str]:
        """Names of the classes, without the negative one."""
        return self.ensemble.task.classes

    def thresholds(self, choice: str | None = None) -> dict[str, float]:
        """Return the least score of a prediction that is shown, by class.

        Args:
            choice: "best", those that `evaluate` chose; a number from 0 to 1; None takes the best if there are any.

        Raises:
            UsageError: it is neither, or nothing was evaluated.
        """
        if choice in (None, "best"):
            if choice and self.best_thresholds is None:
                raise UsageError(
                    "There are no best thresholds before the first evaluation; give a number, such as --threshold 0.5."
                )
            return {name: (self.best_thresholds or {}).get(name, DEFAULT_THRESHOLD) for name in self.classes}
        try:
            number = float(str(choice))
        except ValueError:
            number = -1.0
        if not 0 <= number <= 1:
            raise UsageError(f"--threshold is '{choice}'; it must be best or a number from 0 to 1.")
        return dict.fromkeys(self.classes, number)

    def predict_file(self, file: Path, name: str) -> pd.DataFrame:
        """Predict one image file, post-processed; raise DataError if it can't be read."""
        raw = self.ensemble.predict_file(file, name)
        return self.ensemble.postprocess([raw], ignored_in({name: file}, self.ensemble.findings))

    def shown(self, table: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
        """Leave out boxes below their threshold, and the negative class; probabilities of classes stay."""
        if not self.is_detection:
            return table
        least = table["label"].map(dict(thresholds)).to_numpy(np.float64, na_value=np.inf)
        return table[table["score"].to_numpy(np.float64) >= least].reset_index(drop=True)

    def count(self, shown: pd.DataFrame) -> dict[str, int]:
        """Count the boxes of each class, or the images by their likeliest class, in the order of the classes."""
        columns = [f"p_{name}" for name in self.classes]
        labels = shown["label"] if self.is_detection else shown[columns].astype(float).idxmax(axis=1).str[2:]
        counts = labels.value_counts()
        return {name: int(counts.get(name, 0)) for name in self.classes}

    def density(self, counts: Mapping[Any, int]) -> Density | None:
        """Add up parasites and white cells; None where the settings name no classes of either."""
        parasites, white_cells = self.settings.report.parasites, self.settings.report.white_cells
        if not parasites or not white_cells:
            return None
        return Density(*(sum(counts.get(name, 0) for name in names) for names in (parasites, white_cells)))

    def counts_table(self, shown: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Count the boxes of each image by class.

        Args:
            shown: boxes of the images.
            names: image_ids, one row each.

        Returns:
            image_id and the counts; where the settings name the classes also parasites_per_white_cell and
            parasites_per_microlitre, empty without a white cell.
        """
        rows = []
        for name in names:
            counts = self.count(shown[shown["image_id"] == name])
            density, more = self.density(counts), {}
            if density is not None:
                ratio, estimate = density.per_white_cell, density.per_microlitre
                more["parasites_per_white_cell"] = None if ratio is None else round(ratio, 3)
                more["parasites_per_microlitre"] = None if estimate is None else round(estimate)
            rows.append({"image_id": name, **counts, **more})
        return pd.DataFrame(rows)

    def describe(self, shown: pd.DataFrame, thresholds: Mapping[str, float] | None = None) -> str:
        """Say in one line what was found in one image; a class of an image below its threshold is uncertain."""
        if not self.is_detection:
            row = shown.iloc[0].to_dict()
            name = max(self.classes, key=lambda each: row[f"p_{each}"])
            probability = row[f"p_{name}"]
            doubt = " (uncertain)" if thresholds and probability < thresholds[name] else ""
            return f"{name} {probability:.3f}{doubt}"
        counts = self.count(shown)
        found = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing found"
        density = self.density(counts)
        return found if density is None or density.parasites == 0 else f"{found}; {density}"

    def draw(self, image: np.ndarray, shown: pd.DataFrame, title: str = "") -> np.ndarray:
        """Draw boxes with their scores on an image, below a legend with the number of each class.

        Args:
            image: (h, w, 3) uint8 RGB; it is drawn without boxes if the model finds none.
            shown: result of `shown`.
            title: a line on top.

        Returns: (H, W, 3) uint8 RGB.
        """
        picture, factor = draw.enlarged(image, int(np.clip(image.shape[1], *PICTURE_WIDTH)))
        legend: list[tuple[str, draw.Colour]] = []
        if self.is_detection:
            colours, counts = draw.class_colours(self.classes), self.count(shown)
            corners = shown[BOX].to_numpy(np.float64) * factor
            scores = [f"{score:.2f}" for score in shown["score"]]
            picture = draw.draw_boxes(picture, corners, [colours[name] for name in shown["label"]], scores)
            legend = [(f"{name} ({counts[name]})", colours[name]) for name in self.classes]
        return draw.contact_sheet([picture], [""], 1, picture.shape[1], title, legend)


def load_model(task: str, root: Path, exported: bool) -> LoadedModel:
    """Load a task's models.

    Args:
        task: name of a task; for exported models also the path of their folder.
        root: of the repository.
        exported: load what `tropho export` wrote, without torch.

    Raises:
        UsageError: there is no such task, or nothing was exported.
        DataError: the task has no trained model, or models or settings have changed since they were evaluated.
    """
    if exported:
        return _load_exported(task, root)
    settings = load_task(task, root / "params.yaml")
    return load_trained(settings, Paths(root, settings.name))


def load_trained(settings: TaskConfig, paths: Paths, on_cpu: bool = False) -> LoadedModel:
    """Load the trained models, with the present settings of prediction; raises as `load_model` does."""
    from tropho.inference.ensemble_members import check_manifest, load_folds, missing_label_findings
    from tropho.inference.predictor import CPU, best_device

    record = trained_record(paths)
    fitted = scores = None
    if (paths.evaluate / "postprocess.json").exists():
        check_manifest(paths, record, settings)
        fitted = read_json(paths.evaluate / "postprocess.json")
        if (paths.evaluate / "thresholds.json").exists():
            scores = _scores(read_json(paths.evaluate / "thresholds.json"))
    folds = load_folds(settings, paths, record, CPU if on_cpu else best_device())
    members = {name: list(each.values()) for name, each in folds.items()}
    ensemble = Ensemble(members, fitted, missing_label_findings(settings, paths), settings.audit.max_megapixels)
    return LoadedModel(ensemble, settings, paths, scores)


def trained_record(paths: Paths) -> dict[str, Any]:
    """Read run.json; raise DataError if nothing was trained."""
    record = paths.models / "run.json"
    if not record.exists():
        raise DataError(f"{paths.task} has no trained model; run `dvc repro`, or `tropho train {paths.task}`.")
    return read_json(record)


def _load_exported(task: str, root: Path) -> LoadedModel:
    from tropho.export.onnx_predictor import load_onnx_ensemble

    folder = Path(task) if (Path(task) / FILE).exists() else Paths(root, task).exports
    ensemble, settings = load_onnx_ensemble(folder)
    thresholds = read_json(folder / FILE).get("thresholds")
    scores = None if thresholds is None else _scores(thresholds)
    return LoadedModel(ensemble, settings, Paths(root, settings.name), scores)


def _scores(thresholds: dict[str, Any]) -> dict[str, float]:
    """Extract the score of each class from thresholds.json, leaving out classes without one."""
    return {name: float(value["threshold"]) for name, value in thresholds.items() if value["threshold"] is not None}
