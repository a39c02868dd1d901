"""Evaluate classifications: metrics of the confusion matrix, calibration, label issues, plots, Grad-CAM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.evaluation.box_issues import rank_issues
from tropho.evaluation.evaluator import Fitter
from tropho.evaluation.postprocess_search import Params, Step, search_postprocess
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.inference.ensemble import MemberTables, rows_of_images
from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.calibration import fit_temperature, log_probabilities
from tropho.metrics.classification_metrics import (
    balanced_accuracy,
    classification_intervals,
    classification_metrics,
)
from tropho.metrics.confusion import quantities_table, threshold_table
from tropho.metrics.curves import best_threshold, unreachable_recall
from tropho.plots.classification_plots import classification_figures
from tropho.plots.grad_cam import pick_examples, plot_grad_cam
from tropho.tables import LABEL_ISSUES, empty
from tropho.tasks.classification_task import ClassificationTask


class ClassificationEvaluator:
    """Evaluator of a classification task."""

    def __init__(self, task: ClassificationTask) -> None:
        self.task = task

    def postprocess_fitter(self, gt: GroundTruth, raw: MemberTables, groups: pd.Series) -> Fitter:
        """Fit {"temperature": T} with the least log loss, after members' weights where `evaluate` asks for them."""
        oof = MemberPredictions(self.task, gt, raw)
        searches = self.task.settings.evaluate.fit_postprocess

        def fit(image_ids: list[str]) -> dict[str, Any]:
            params = search_postprocess(oof, groups.loc[image_ids]) if searches else {}
            values = self.task.probabilities(oof.predict(params, image_ids), pd.Series(image_ids))
            temperature = fit_temperature(log_probabilities(values), self._labels(gt.subset(image_ids)))
            return {**params, "temperature": temperature}

        return fit

    def metrics(self, gt: GroundTruth, predictions: pd.DataFrame) -> dict[str, float]:
        values = self.task.probabilities(predictions, gt.images["image_id"])
        return classification_metrics(self._labels(gt), values, self.task.classes)

    def thresholds(self, gt: GroundTruth, predictions: pd.DataFrame) -> dict[str, Any]:
        """Choose each class's threshold against the rest, by `evaluate.min_recall` or `evaluate.beta`."""
        labels, evaluate = gt.images["label"].to_numpy(), self.task.settings.evaluate
        values = self.task.probabilities(predictions, gt.images["image_id"])
        return {
            name: best_threshold(labels == name, values[:, idx], evaluate.beta, evaluate.min_recall)
            for idx, name in enumerate(self.task.classes)
        }

    def label_issues(self, gt: GroundTruth, predictions: pd.DataFrame) -> pd.DataFrame:
        ids = gt.images["image_id"]
        values = self.task.probabilities(predictions, ids)
        return find_label_issues(list(ids), self._labels(gt), values, self.task.classes)

    def tables(self, gt: GroundTruth, predictions: pd.DataFrame, thresholds: dict[str, Any]) -> dict[str, pd.DataFrame]:
        """Compute "metrics", and the confusion matrix's quantities by the most probable class and by thresholds."""
        labels, values = self._labels(gt), self.task.probabilities(predictions, gt.images["image_id"])
        groups, beta = gt.images["group"].to_numpy(), self.task.settings.evaluate.beta
        classes = self.task.classes
        cuts = [thresholds[name]["threshold"] for name in classes]
        metrics = classification_intervals(labels, values, classes, groups)
        return {
            "metrics": metrics.rename_axis("metric").reset_index(),
            "quantities": quantities_table(labels, values.argmax(axis=1), classes, groups, beta),
            "quantities_at_thresholds": threshold_table(labels, values, cuts, classes, groups, beta),
        }

    def comments(self, gt: GroundTruth, thresholds: dict[str, Any]) -> list[str]:
        labels = self._labels(gt)
        if len(np.unique(labels)) == 1:
            only = self.task.classes[labels[0]]
            return [f"All these images are of one class, '{only}', so no score tells classes apart."]
        return unreachable_recall(thresholds, self.task.settings.evaluate.min_recall)

    def plots(
        self,
        gt: GroundTruth,
        predictions: pd.DataFrame,
        thresholds: dict[str, Any],
        reader: ImageReader,
        folder: Path,
        raw: pd.DataFrame | None = None,
    ) -> None:
        evaluate, classes = self.task.settings.evaluate, self.task.classes
        beta, gallery = evaluate.beta, evaluate.gallery_images
        classification_figures(gt.images, predictions, classes, reader, folder, beta, gallery, thresholds, raw)

    def heat_maps(
        self, model: nn.Module, gt: GroundTruth, predictions: pd.DataFrame, cache: ImageCache, folder: Path
    ) -> list[str]:
        """Draw Grad-CAM maps of wrong and right examples."""
        labels = gt.images[["image_id", "label"]]
        table = predictions.merge(labels, on="image_id", suffixes=("", "_true"))
        table = table.assign(confidence=table[self.task.columns].max(axis=1))
        table = pick_examples(table, self.task.settings.evaluate.gallery_images // 3)
        if table.empty:
            return []
        samples = torch.stack([self.task.sample(cache[image_id])[0] for image_id in table["image_id"]])
        try:
            drawn = plot_grad_cam(model, table, samples, self.task.classes, folder)
        except ImportError:
            return ["There are no Grad-CAM maps: `make setup` installs grad-cam, without which none are drawn."]
        name = self.task.settings.model.name
        return [] if drawn else [f"There are no Grad-CAM maps: the {name} has no layer that keeps places apart."]

    def _labels(self, gt: GroundTruth) -> np.ndarray:
        return class_indices(gt, self.task.classes)


class MemberPredictions:
    """Raw out-of-fold probabilities of an ensemble's members; see `OofPredictions`."""

    def __init__(self, task: ClassificationTask, gt: GroundTruth, tables: MemberTables) -> None:
        self.task, self.gt = task, gt
        self.tables = {name: [task.fuse_views(views)] for name, views in tables.items()}

    @property
    def steps(self) -> list[Step]:
        return [Step("member weights", self._fit_weights)] if len(self.tables) > 1 else []

    def predict(self, params: Params, image_ids: list[str]) -> pd.DataFrame:
        return self.task.fuse_members(rows_of_images(self.tables, image_ids), params)

    def gain(self, fitted: pd.DataFrame, default: pd.DataFrame, groups: pd.Series) -> dict[str, float]:
        """Compare the balanced accuracy."""
        classes, gt = self.task.classes, class_indices(self.gt.subset(groups.index), self.task.classes)
        tables = (fitted, default)
        chosen = [self.task.probabilities(table, groups.index.to_series()).argmax(axis=1) for table in tables]

        def statistic(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
            one, other = (balanced_accuracy(gt, each, len(classes), weights) for each in chosen)
            return {"gain": one - other}

        table = with_intervals(statistic, groups.to_numpy())
        return {name: float(table[name]["gain"]) for name in ("value", "low", "high")}

    def _fit_weights(self, params: Params, image_ids: list[str]) -> Params:
        """Fit {"weights": by member} with the least log loss."""
        labels, ids = class_indices(self.gt.subset(image_ids), self.task.classes), pd.Series(image_ids)
        tables = rows_of_images(self.tables, image_ids).values()
        of_label = [self.task.probabilities(table, ids)[np.arange(len(labels)), labels] for [table] in tables]
        return {**params, "weights": dict(zip(self.tables, mixture_weights(np.stack(of_label, axis=1)), strict=True))}


def class_indices(gt: GroundTruth, classes: list[str]) -> NDArray[np.int64]:
    """Look up the class index of each image, (N,) int64."""
    indices = {name: idx for idx, name in enumerate(classes)}
    return np.asarray(gt.images["label"].map(indices), np.int64)


def find_label_issues(
    image_ids: Sequence[str], labels: NDArray[np.integer], probabilities: NDArray[np.float64], classes: Sequence[str]
) -> pd.DataFrame:
    """Find labels for which another class is confident and more probable (Northcutt et al., 2021).

    A class is confident where its probability is at least its mean over the images with that label. Probabilities (N,
    C) are post-processed, out of fold; labels (N,) are class indices.

    Returns: tables.LABEL_ISSUES of kind "swap"; the score is 1 - P(label).
    """
    if len(labels) == 0:
        return empty(LABEL_ISSUES)
    thresholds = np.array(
        [
            probabilities[labels == idx, idx].mean() if (labels == idx).any() else np.inf
            for idx in range(probabilities.shape[1])
        ]
    )  # (C,)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)  # (N, C)
    best, rows = confident.argmax(axis=1), np.arange(len(labels))
    own, other = probabilities[rows, labels], confident[rows, best]
    keep = np.flatnonzero((best != labels) & (other > own))
    names = np.asarray(classes, dtype=object)
    given, suggested = names[labels[keep]], names[best[keep]]
    reasons = zip(suggested, other[keep], given, own[keep], strict=True)
    return rank_issues(
        pd.DataFrame(
            {
                "image_id": np.asarray(image_ids, dtype=object)[keep],
                "action": "set label",
                "label": suggested,
                "reason": [f"P({new}) is {high:.2f}, P({old}) {low:.2f}" for new, high, old, low in reasons],
                "kind": "swap",
                "score": 1 - own[keep],
                "given_label": given,
                "suggested_label": suggested,
                "certainty": other[keep],
            }
        )
    )


def mixture_weights(likelihood: NDArray[np.float64], steps: int = 2000, tolerance: float = 1e-9) -> list[float]:
    """Fit the weights of a mixture of models with the least log loss, by expectation-maximisation (convex).

    `likelihood` (N, M) is the probability that each model gives the true class of each image. Steps end when no weight
    changes by more than `tolerance`.

    Returns: M weights >= 0 with sum 1.
    """
    n_models = likelihood.shape[1]
    weights = np.full(n_models, 1.0 / n_models)
    likelihood = np.maximum(likelihood, np.finfo(np.float64).tiny)
    for _ in range(steps if len(likelihood) else 0):
        shares = likelihood * weights  # (N, M)
        updated = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
        converged = np.abs(updated - weights).max() < tolerance
        weights = updated
        if converged:
            break
    return [float(weight) for weight in weights]
