"""Evaluate classifications: every quantity of the confusion matrix, calibration, label issues, plots, Grad-CAM."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.evaluation.label_issues import find_label_issues
from tropho.evaluation.member_weights import mixture_weights
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.metrics.calibration import fit_temperature, log_probabilities
from tropho.metrics.classification_metrics import classification_intervals, classification_metrics
from tropho.metrics.confusion import quantities_table, threshold_table
from tropho.metrics.curves import best_threshold, unreachable_recall
from tropho.plots.classification_plots import classification_figures
from tropho.plots.grad_cam import pick_examples, plot_grad_cam
from tropho.tasks.classification_task import ClassificationTask


class ClassificationEvaluator:
    """Metrics, plots, members' weights and temperature of a classification task."""

    def __init__(self, task: ClassificationTask) -> None:
        self.task = task

    def fit_fusion(
        self, truth: GroundTruth, tables: dict[str, list[pd.DataFrame]], groups: pd.Series
    ) -> dict[str, Any]:
        """Fit {"weights": by member}, those of the mean with the least log-loss, if the settings ask for it."""
        if self.task.settings.predict.member_weights != "fitted" or len(tables) < 2:
            return {}
        true, ids = self._labels(truth), truth.images["image_id"]
        merged = [self.task.probabilities(self.task.merge(views), ids) for views in tables.values()]
        given = np.stack([values[np.arange(len(true)), true] for values in merged], axis=1)
        return {"weights": dict(zip(tables, mixture_weights(given), strict=True))}

    def fit_postprocess(self, truth: GroundTruth, predictions: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
        """Fit {"temperature": T} with the least log-loss on these predictions."""
        values = self.task.probabilities(predictions, truth.images["image_id"])
        return {"temperature": fit_temperature(log_probabilities(values), self._labels(truth))}

    def metrics(self, truth: GroundTruth, predictions: pd.DataFrame) -> dict[str, float]:
        """Compute the metrics of metrics.classification."""
        values = self.task.probabilities(predictions, truth.images["image_id"])
        return classification_metrics(self._labels(truth), values, self.task.classes)

    def thresholds(self, truth: GroundTruth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Choose each class's threshold against the rest by `evaluate.min_recall` or `beta`."""
        labels, evaluate = truth.images["label"].to_numpy(), self.task.settings.evaluate
        values = self.task.probabilities(predictions, truth.images["image_id"])
        return {
            name: best_threshold(labels == name, values[:, number], evaluate.beta, evaluate.min_recall)
            for number, name in enumerate(self.task.classes)
        }

    def label_issues(self, truth: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
        """Rank labels by confident learning; see suspects.classes."""
        ids = truth.images["image_id"]
        values = self.task.probabilities(predictions, ids)
        return find_label_issues(list(ids), self._labels(truth), values, self.task.classes)

    def tables(
        self, truth: GroundTruth, predictions: pd.DataFrame, thresholds: dict[str, Any]
    ) -> dict[str, pd.DataFrame]:
        """Compute "metrics", and every quantity of the confusion matrix by the likeliest class and by thresholds."""
        true, values = self._labels(truth), self.task.probabilities(predictions, truth.images["image_id"])
        groups, beta = truth.images["group"].to_numpy(), self.task.settings.evaluate.beta
        classes = self.task.classes
        cuts = [thresholds[name]["threshold"] for name in classes]
        metrics = classification_intervals(true, values, classes, groups)
        return {
            "metrics": metrics.rename_axis("metric").reset_index(),
            "quantities": quantities_table(true, values.argmax(axis=1), classes, groups, beta),
            "quantities_at_thresholds": threshold_table(true, values, cuts, classes, groups, beta),
        }

    def comments(self, truth: GroundTruth, thresholds: dict[str, Any]) -> list[str]:
        """Say where all images are of one class, and which wanted sensitivity no threshold reaches."""
        true = self._labels(truth)
        if len(np.unique(true)) == 1:
            only = self.task.classes[true[0]]
            return [f"All these images are of one class, '{only}', so no score tells classes apart."]
        return unreachable_recall(thresholds, self.task.settings.evaluate.min_recall)

    def plots(
        self,
        truth: GroundTruth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        reader: ImageReader,
        folder: Path,
        raw: pd.DataFrame | None = None,
    ) -> None:
        """Draw confusion, ROC, PR, reliability, thresholds and galleries; see reporting.classification."""
        evaluate = self.task.settings.evaluate
        beta, gallery = evaluate.beta, evaluate.gallery_images
        classes = self.task.classes
        classification_figures(truth.images, predictions, classes, reader, folder, beta, gallery, thresholds, raw)

    def explain(
        self, model: nn.Module, truth: GroundTruth, predictions: pd.DataFrame, pack: ImageCache, folder: Path
    ) -> list[str]:
        """Draw Grad-CAM maps of wrong and right examples; see reporting.heat_maps."""
        labels = truth.images[["image_id", "label"]]
        table = predictions.merge(labels, on="image_id", suffixes=("", "_true"))
        table = table.assign(confidence=table[self.task.columns].max(axis=1))
        table = pick_examples(table, self.task.settings.evaluate.gallery_images // 3)
        if table.empty:
            return []
        samples = torch.stack([self.task.sample(pack[image_id])[0] for image_id in table["image_id"]])
        try:
            drawn = plot_grad_cam(model, table, samples, self.task.classes, folder)
        except ImportError:
            return ["There are no Grad-CAM maps: `make setup` installs grad-cam, without which none are drawn."]
        name = self.task.settings.model.name
        return [] if drawn else [f"There are no Grad-CAM maps: the {name} has no layer that keeps places apart."]

    def _labels(self, truth: GroundTruth) -> np.ndarray:
        """Give the class number of each image, (N,) int64."""
        numbers = {name: number for number, name in enumerate(self.task.classes)}
        return truth.images["label"].map(numbers).to_numpy(dtype=np.int64)
