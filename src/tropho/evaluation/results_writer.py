"""Write the results of each subset of images: metrics, tables, plots, and notes that a reader has to know."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from tropho.data.task_data import GroundTruth, TaskData, rows_of
from tropho.evaluation.evaluator import Evaluator
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.metrics.metric_names import metric_name
from tropho.plots import format_numbers
from tropho.tables import DECIMALS, write_table

UNDEFINED = "undefined"  # cell of a table whose quantity has no value


class ResultsWriter:
    """Metrics and notes by subset ("oof", "test", "test_without_leaks"), and files below `folder`."""

    def __init__(self, evaluator: Evaluator, thresholds: dict[str, Any], reader: ImageReader, folder: Path) -> None:
        self.evaluator, self.thresholds, self.reader, self.folder = evaluator, thresholds, reader, folder
        self.metrics: dict[str, Any] = {}  # content of metrics.json except the headline
        self.notes: dict[str, list[str]] = {}
        self.added: dict[str, tuple[GroundTruth, pd.DataFrame, pd.DataFrame]] = {}  # also post-processed and raw rows
        self._intervals: dict[str, pd.DataFrame] = {}

    def add(self, subset: str, gt: GroundTruth, predictions: pd.DataFrame, raw: pd.DataFrame) -> None:
        """Compute the metrics of the images of `gt`, and write their tables."""
        predictions, raw = rows_of(gt, predictions), rows_of(gt, raw)
        self.added[subset] = gt, predictions, raw
        self.metrics[subset] = self.evaluator.metrics(gt, predictions)
        self.notes[subset] = self.evaluator.comments(gt, self.thresholds)
        n_groups = gt.images["group"].nunique()
        if n_groups < FEW_GROUPS:
            self.notes[subset].append(f"The intervals are rough: these images form only {n_groups} groups.")
        tables = self.evaluator.tables(gt, predictions, self.thresholds)
        self._intervals[subset] = tables["metrics"].set_index("metric")
        for name, table in tables.items():
            cells = table.round(DECIMALS).astype(object).where(table.notna(), UNDEFINED)
            write_table(cells, self.folder / "tables" / subset / f"{name}.csv")

    def plot(self, subset: str, gt: GroundTruth, predictions: pd.DataFrame, raw: pd.DataFrame) -> None:
        """Draw the plots of a subset, in which images may lack labels."""
        folder = self.folder / "figures" / subset
        self.evaluator.plots(gt, predictions, self.thresholds, self.reader, folder, raw)

    def plot_heat_maps(
        self, subset: str, model: nn.Module, gt: GroundTruth, predictions: pd.DataFrame, cache: ImageCache
    ) -> None:
        """Draw what a model looks at in images that it was not trained on."""
        folder, size = self.folder / "figures" / subset, self.evaluator.task.settings.augment.image_size
        cache = ImageCache(cache.path, min(size, cache.size))
        self.notes[subset] += self.evaluator.heat_maps(model, gt, rows_of(gt, predictions), cache, folder)

    def add_members(self, scores: dict[str, dict[str, float]], params: dict[str, Any]) -> None:
        """Add the out-of-fold scores of the ensemble's members, {member: {metric: score}}, and a note on them."""
        self.metrics["members"] = scores
        metric = self.evaluator.task.primary_metric
        alone = ", ".join(
            f"{member} {format_numbers.score(value)}{'' if name == metric else f' ({metric_name(name)})'}"
            for member, score in scores.items()
            for name, value in score.items()
        )
        weights = ", ".join(f"{member} {_weight(weight)}" for member, weight in params.get("weights", {}).items())
        together = format_numbers.score(self.metrics["oof"][metric])
        self.notes["oof"].append(
            f"Out-of-fold scores of each member alone, before fitted post-processing: {alone}. All together score "
            f"{together}{f', with the weights {weights}' if weights else ''}."
        )

    def add_leaks(self, data: TaskData, folds: Iterable[int]) -> None:
        """Note what images share with training images of these folds; score the test again without those that do."""
        images, train = data.gt.images, {fold: set(data.train_val(fold)[0].images["image_id"]) for fold in folds}
        leaks = sum(len(find_leaks(images, data.folds[fold], ids)) for fold, ids in train.items())
        self._note_leaks("oof", leaks, sum(len(data.folds[fold]) for fold in train), "out-of-fold")
        if "test" not in self.metrics:
            return
        gt, predictions, raw = self.added["test"]
        test = list(gt.images["image_id"])
        leaking = set(find_leaks(images, test, set().union(*train.values())))
        self.metrics["test_leaks"] = {"images": len(leaking), "of": len(test)}
        self._note_leaks("test", len(leaking), len(test), "test")
        if 0 < len(leaking) < len(test):
            clean = gt.subset([image_id for image_id in test if image_id not in leaking])
            self.add("test_without_leaks", clean, predictions, raw)

    def _note_leaks(self, subset: str, leaks: int, n: int, what: str) -> None:
        if leaks:
            self.notes[subset].insert(
                0,
                f"{leaks:,} of {n:,} {what} images share their patient, slide or picture (group or duplicate) with "
                "training images of a model that predicts them, so this score is too high.",
            )

    def headline(self) -> dict[str, Any]:
        """Return the score with low, high, name, subset and images: on the test if there is one, else out of fold."""
        subset, name = "test" if "test" in self.metrics else "oof", self.evaluator.task.primary_metric
        low, high = self.interval(subset)
        value, images = self.metrics[subset][name], len(self.added[subset][0].images)
        return {"name": name, "value": value, "low": low, "high": high, "subset": subset, "images": images}

    def interval(self, subset: str) -> tuple[float, float]:
        """Return the 95 % interval of the primary metric of a subset; NaN if it has none."""
        low, high = self._intervals[subset][["low", "high"]].loc[self.evaluator.task.primary_metric].to_numpy(float)
        return float(low), float(high)


def find_leaks(images: pd.DataFrame, eval_ids: Collection[str], train_ids: Collection[str]) -> list[str]:
    """List the evaluated images that share a group or a duplicate with a training image, in row order of `images`."""
    scored, train = (images[images["image_id"].isin(ids)] for ids in (eval_ids, train_ids))
    shared = [scored[column].isin(set(train[column].dropna())) for column in ("group", "duplicate")]
    return list(scored.loc[shared[0] | shared[1], "image_id"])


def _weight(weight: float | dict[str, float]) -> str:
    if isinstance(weight, dict):
        return "(" + ", ".join(f"{label} {value:.2f}" for label, value in weight.items()) + ")"
    return f"{weight:.2f}"
