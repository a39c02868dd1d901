"""Prediction tables of a detection task made one: those of views and folds, and those of an ensemble's members."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tropho.boxes.wbf import fuse
from tropho.config.task_config import TaskConfig


@dataclass(frozen=True)
class BoxFusion:
    """Fuses by the section `predict`, or by what was fitted out of fold; see tasks.base.Task."""

    settings: TaskConfig
    classes: list[str]
    negative: str | None

    def fuse_views(self, tables: list[pd.DataFrame], fitted: dict[str, Any] | None) -> pd.DataFrame:
        """Views or folds of one model, all of which count alike."""
        if len(tables) == 1:
            return tables[0]
        return fuse(tables, self._overlaps(fitted), None, self.settings.predict.ensemble_method, self.negative)

    def fuse_members(self, tables: dict[str, pd.DataFrame], fitted: dict[str, Any] | None) -> pd.DataFrame:
        """Members by name, each with its weight by class."""
        if len(tables) == 1:
            return next(iter(tables.values()))
        weights = (fitted or {}).get("weights") or {name: self.weights(name) for name in tables}
        shares = [weights[name] for name in tables]
        return fuse(
            list(tables.values()), self._overlaps(fitted), shares, self.settings.predict.ensemble_method, self.negative
        )

    def _overlaps(self, fitted: dict[str, Any] | None) -> float | dict[str, float]:
        """From which overlap on boxes are one, of views, folds and members alike; for all classes or by class."""
        overlaps: float | dict[str, float] = (fitted or {}).get("merge_iou", self.settings.predict.wbf_iou_threshold)
        return overlaps

    def weights(self, member: str) -> dict[str, float]:
        """By class, as set: a member without boxes counts in the negative class alone."""
        chosen = self.settings.predict
        weight = chosen.weight_of(member)
        weights = dict.fromkeys(self.classes, 0.0 if member in self.settings.boxless else weight)
        return {**weights, self.negative: weight if chosen.says_negative(member) else 0.0} if self.negative else weights
