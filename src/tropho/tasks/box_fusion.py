"""Prediction tables of a detection task made one: those of views and folds, and those of an ensemble's members."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tropho.settings import TaskSettings
from tropho.tasks.base import Truth


@dataclass(frozen=True)
class BoxFusion:
    """Fuses by the section `predict`, or by what was fitted out of fold; see tasks.base.Task."""

    settings: TaskSettings
    classes: list[str]
    negative: str | None

    def merge(self, tables: list[pd.DataFrame], fitted: dict[str, Any] | None) -> pd.DataFrame:
        """Views or folds of one model, all of which count alike."""
        if len(tables) == 1:
            return tables[0]
        from tropho.predicting.fusion import fuse

        return fuse(tables, self._overlaps(fitted), None, self.settings.predict.ensemble_method, self.negative)

    def fuse(self, tables: dict[str, pd.DataFrame], fitted: dict[str, Any] | None) -> pd.DataFrame:
        """Members by name, each with its weight by class."""
        if len(tables) == 1:
            return next(iter(tables.values()))
        from tropho.predicting.fusion import fuse

        weights = (fitted or {}).get("weights") or {name: self._weights(name) for name in tables}
        shares = [weights[name] for name in tables]
        return fuse(
            list(tables.values()), self._overlaps(fitted), shares, self.settings.predict.ensemble_method, self.negative
        )

    def fit(self, truth: Truth, tables: dict[str, list[pd.DataFrame]], groups: pd.Series) -> dict[str, Any]:
        """See predicting.fusion_search; `tables` are the views of each member, `groups` are by image_id."""
        from tropho.predicting.finishing import suppress
        from tropho.predicting.fusion_search import Members, Way, search_fusion

        chosen, ignored = self.settings.predict, truth.ignored
        if ignored is not None:
            tables = {name: [suppress(each, ignored) for each in views] for name, views in tables.items()}
        weights = {name: self._weights(name) for name in tables}
        labels = [*self.classes, self.negative] if self.negative else self.classes
        as_set = {
            label: Way(chosen.overlap_of(label), tuple(weights[name][label] for name in tables)) for label in labels
        }
        image_ids = list(truth.images["image_id"])
        members = Members(
            tables, image_ids, truth.boxes, groups.loc[image_ids], self.negative, chosen.ensemble_method, as_set
        )
        return search_fusion(members, self.settings.evaluate.postprocess_trials)

    def _overlaps(self, fitted: dict[str, Any] | None) -> float | dict[str, float]:
        """From which overlap on boxes are one, of views, folds and members alike; for all classes or by class."""
        overlaps: float | dict[str, float] = (fitted or {}).get("merge_iou", self.settings.predict.wbf_iou_threshold)
        return overlaps

    def _weights(self, member: str) -> dict[str, float]:
        """By class, as set: a member without boxes counts in the negative class alone."""
        chosen = self.settings.predict
        weight = chosen.weight_of(member)
        weights = dict.fromkeys(self.classes, 0.0 if member in self.settings.boxless else weight)
        return {**weights, self.negative: weight if chosen.says_negative(member) else 0.0} if self.negative else weights
