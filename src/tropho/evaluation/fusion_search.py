"""How views and members are fused, class by class: overlaps and weights that gain on groups they weren't chosen on.

For every class Optuna tries overlaps from which boxes are one, of a member's views and of members alike, and weights
of the members; the negative class has weights alone. Values are coarse, so as not to fit chance. What scores highest by
the leaderboard's metric on four fifths of the groups fuses the rest, five times. It is kept if the 95 % interval of the
gain over the fusion as set, by whole groups, is above zero and there are at least FEW_GROUPS of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats
from tropho.boxes.wbf import Method, fuse
from tropho.evaluation.cross_fit import group_kfold
from tropho.evaluation.paired_gain import Tried, best_by_class, paired_gain, part_weights, run_quasi_random_trials
from tropho.metrics.leaderboard_map import Ranking, rank_images
from tropho.tasks.postprocess import negative_probability, postprocess_detections

OVERLAP = (0.3, 0.8, 0.05)
"""Least, most and step."""

WEIGHT = (0.0, 1.0, 0.25)
"""Least, most and step; only their ratios count."""


class FusionParams(NamedTuple):
    """How a class is fused: `iou`, which has no meaning for the negative class, and the weight of each member."""

    iou: float
    weights: tuple[float, ...]

    @property
    def has_weights(self) -> bool:
        """Whether there are weights to choose."""
        return sum(weight > 0 for weight in self.weights) > 1


Ways = Mapping[str, FusionParams]
"""By class."""


@dataclass(frozen=True)
class OofPredictions:
    """Out-of-fold predictions of an ensemble's members, or of one model's views, and their truth.

    Attributes:
        tables: by member one table a test-time view, columns of tables.DETECTIONS, all of the same images.
        image_ids: every image.
        boxes: true boxes, columns of tables.BOXES.
        groups: of each image, by image_id.
        negative: the class that says "nothing here", if there is one.
        method: of fusion.
        as_set: by class, the negative one included.
    """

    tables: dict[str, list[pd.DataFrame]]
    image_ids: list[str]
    boxes: pd.DataFrame
    groups: pd.Series
    negative: str | None
    method: Method
    as_set: Ways

    @cached_property
    def part(self) -> pd.Series:
        """Part of each image, by image_id; groups stay whole."""
        return pd.Series(group_kfold(self.groups), index=self.groups.index)

    @cached_property
    def factor(self) -> pd.Series:
        """1 - P(negative) by image_id as set, by which boxes are scaled in every trial.

        So the classes' average precisions don't depend on each other's ways.
        """
        if not self.negative:
            return pd.Series(1.0, index=self.image_ids)
        return 1 - negative_probability(self.fuse(self.as_set), self.negative)

    def fuse(self, ways: Ways, image_ids: pd.Index | None = None) -> pd.DataFrame:
        """One table, not finished, of these images or all: each member's views made one, then the members."""
        overlaps = {label: way.iou for label, way in ways.items()}
        members = []
        for tables in self.tables.values():
            views = tables if image_ids is None else [each[each["image_id"].isin(image_ids)] for each in tables]
            members.append(fuse(views, overlaps, None, self.method, self.negative) if len(views) > 1 else views[0])
        if len(members) == 1:
            return members[0]
        return fuse(members, overlaps, list(self.weights(ways).values()), self.method, self.negative)

    def is_open(self, label: str) -> bool:
        """Whether a class has anything to choose: weights of members, or the overlap of a member's views."""
        way = self.as_set[label]
        several = (len(views) > 1 for views, weight in zip(self.tables.values(), way.weights, strict=True) if weight)
        return way.has_weights or (label != self.negative and any(several))

    def weights(self, ways: Ways) -> dict[str, dict[str, float]]:
        """By member and class."""
        return {
            name: {label: way.weights[place] for label, way in ways.items()} for place, name in enumerate(self.tables)
        }

    def rank(self, finished: pd.DataFrame) -> Ranking:
        """Judge finished predictions."""
        return rank_images(self.image_ids, self.boxes, finished, self.negative)

    def precisions(self, ways: Ways, weights: Floats) -> dict[str, Floats]:
        """Average precision by class for each row of `part_weights`."""
        fused = self.fuse(ways)
        factor = fused["image_id"].map(self.factor).astype(np.float64).where(fused["label"] != self.negative, 1.0)
        ranking = self.rank(fused.assign(score=fused["score"] * factor))
        return {name: ranked.average_precision(weights) for name, ranked in ranking.classes.items()}


def search_fusion(members: OofPredictions, trials: int) -> dict[str, Any]:
    """Try so many ways beside the one set, and keep what holds.

    Returns:
        "weights" by member and class and "merge_iou" by class if they were kept, and under "gains" "fusion": value,
        low, high, groups, kept. {} where nothing can be judged, for want of groups, or there is nothing to fuse.
    """
    open_classes = [label for label in members.as_set if members.is_open(label)]
    if len(members.part.unique()) < 2 or not open_classes:
        return {}
    everything, by_part = _search(members, open_classes, trials)
    parts = [members.fuse(ways, members.part.index[members.part == number]) for number, ways in enumerate(by_part)]
    crossed = postprocess_detections(pd.concat(parts, ignore_index=True), members.negative)
    plain = postprocess_detections(members.fuse(members.as_set), members.negative)
    found = paired_gain(members.rank(crossed), members.rank(plain), members.groups)
    if not found["kept"]:
        return {"gains": {"fusion": found}}
    overlaps = {label: way.iou for label, way in everything.items() if label != members.negative}
    return {"weights": members.weights(everything), "merge_iou": overlaps, "gains": {"fusion": found}}


def _search(members: OofPredictions, open_classes: list[str], trials: int) -> tuple[Ways, list[Ways]]:
    """The best way of each class on all images, and on those outside each part."""
    weights = part_weights(sorted(members.image_ids), members.part)
    tried: Tried = [(members.as_set, members.precisions(members.as_set, weights))]

    def objective(trial: Any) -> float:
        drawn = {label: _draw(trial, members, label) for label in open_classes}
        ways = {**members.as_set, **drawn}
        precisions = members.precisions(ways, weights)
        tried.append((ways, precisions))
        return float(np.mean([each[0] for each in precisions.values()]))

    run_quasi_random_trials(objective, trials, "fusion")
    best: list[Ways] = [{**members.as_set, **best_by_class(tried, row)} for row in range(len(weights))]
    return best[0], best[1:]


def _draw(trial: Any, members: OofPredictions, label: str) -> FusionParams:
    """A way to fuse a class; members that don't count in it as set stay out."""
    least, most, step = OVERLAP
    set_way = members.as_set[label]
    iou = set_way.iou
    if label != members.negative:
        iou = round(trial.suggest_float(f"{label}/iou", least, most, step=step), 4)
    if not set_way.has_weights:
        return FusionParams(iou, set_way.weights)
    least, most, step = WEIGHT
    weights = tuple(
        trial.suggest_float(f"{label}/{name}", least, most, step=step) if weight else 0.0
        for name, weight in zip(members.tables, set_way.weights, strict=True)
    )
    return FusionParams(iou, weights if any(weights) else set_way.weights)
