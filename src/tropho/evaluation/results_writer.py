"""Judging predictions of a set of images: metrics, tables, figures and notes."""

from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from tropho.data.task_data import GroundTruth, rows_of
from tropho.evaluation.evaluator import Evaluator
from tropho.images.cache import ImageCache
from tropho.images.decode import ImageReader
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.tables import write_table

UNDEFINED = "undefined"  # in tables, where a quantity has no value


class ResultsWriter:
    """Collects metrics and notes of sets of images, and writes their tables and figures below `folder`."""

    def __init__(self, evaluator: Evaluator, thresholds: dict[str, Any], reader: ImageReader, folder: Path) -> None:
        self.evaluator, self.thresholds, self.reader, self.folder = evaluator, thresholds, reader, folder
        self.metrics: dict[str, Any] = {}
        self.notes: dict[str, list[str]] = {}
        self.seen: dict[str, tuple[GroundTruth, pd.DataFrame, pd.DataFrame]] = {}
        self._intervals: dict[str, pd.DataFrame] = {}

    def add(self, subset: str, truth: GroundTruth, finished: pd.DataFrame, unfinished: pd.DataFrame) -> None:
        """Measure predictions, as scored and before `finish`, for the images of `truth`, and write their tables."""
        finished, unfinished = rows_of(truth, finished), rows_of(truth, unfinished)
        self.seen[subset] = truth, finished, unfinished
        self.metrics[subset] = self.evaluator.metrics(truth, finished)
        self.notes[subset] = self.evaluator.comments(truth, self.thresholds)
        groups = truth.images["group"].nunique()
        if groups < FEW_GROUPS:
            self.notes[subset].append(f"The intervals are rough: these images make no more than {groups} groups.")
        tables = self.evaluator.tables(truth, finished, self.thresholds)
        self._intervals[subset] = tables["metrics"].set_index("metric")
        for name, table in tables.items():
            said = table.astype(object).where(table.notna(), UNDEFINED)
            write_table(said, self.folder / "tables" / subset / f"{name}.csv")

    def draw(self, subset: str, truth: GroundTruth, finished: pd.DataFrame, unfinished: pd.DataFrame) -> None:
        """Write their figures; `truth` may have images without a label."""
        to = self.folder / "figures" / subset
        self.evaluator.plots(truth, finished, self.thresholds, self.reader, to, unfinished)

    def explain(
        self, subset: str, model: nn.Module, truth: GroundTruth, finished: pd.DataFrame, pack: ImageCache
    ) -> None:
        """Pictures of what one model looks at in images that it never saw."""
        to = self.folder / "figures" / subset
        self.notes[subset] += self.evaluator.explain(model, truth, rows_of(truth, finished), pack, to)

    def headline(self) -> dict[str, Any]:
        """The score on the test if there is one, else out of fold, with its 95 % interval."""
        on, name = "test" if "test" in self.metrics else "oof", self.evaluator.task.primary_metric
        low, high = self._intervals[on][["low", "high"]].loc[name].to_numpy(float)
        return {"name": name, "value": self.metrics[on][name], "low": float(low), "high": float(high), "on": on}
