"""Steps of post-processing for boxes: fusion, members' weights, duplicates, sizes, and the use of P(negative).

Each step chooses for one class after the other, among a few coarse values, the one with the highest score. A class is
ranked once for each choice of its own parameters and those of P(negative), since no others concern it.
"""

import json
from functools import cached_property, partial
from itertools import product

import numpy as np
import pandas as pd

from tropho.data.task_data import GroundTruth
from tropho.evaluation.postprocess_search import Params, Step, merge_params
from tropho.inference.ensemble import MemberTables, rows_of_images
from tropho.metrics.leaderboard_map import RankedClass, score_gain
from tropho.tables import DETECTIONS, empty
from tropho.tasks.detection_task import DetectionTask

FUSION_IOUS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
WEIGHT_FACTORS = (0.0, 0.5, 2.0)  # by which the weight of one member changes; the others stay
DUPLICATE_IOUS = (0.2, 0.3, 0.4, 0.5)
SHRINKAGES = (0.25, 0.5, 0.75, 1.0)
NEGATIVE_THRESHOLDS = (0.3, 0.5, 0.7)

FUSION_PARAMS = ("wbf_iou_threshold", "conf_type", "weights")
MAX_FUSED = 16  # tables of one class that are held; bounds memory
Options = list[Params]  # what a class may change, nothing first


class BoxPredictions:
    """Raw out-of-fold boxes of an ensemble's members, each with one table a test-time view; see `OofPredictions`."""

    def __init__(self, task: DetectionTask, gt: GroundTruth, tables: MemberTables) -> None:
        self.task, self.gt, self.tables = task, gt, tables
        self.labels = [*task.classes, *filter(None, [task.negative])]
        self._ranked: dict[str, RankedClass | None] = {}
        self._fused: dict[str, pd.DataFrame] = {}

    @cached_property
    def steps(self) -> list[Step]:
        negative = [{"negative_threshold": threshold} for threshold in NEGATIVE_THRESHOLDS]
        options = {
            "fusion": [self._fusion(label) for label in self.task.classes],
            "member weights": [self._weights(label) for label in self.labels],
            "duplicates": [[{"duplicate_iou": {label: iou}} for iou in DUPLICATE_IOUS] for label in self.task.classes],
            "box sizes": [[{"size_shrinkage": {label: s}} for s in SHRINKAGES] for label in self.task.classes],
            "hard negative": [negative if self.task.negative else []],
        }
        return [
            Step(name, partial(self._fit, [[{}, *values] for values in by_class if values]))
            for name, by_class in options.items()
            if any(by_class)
        ]

    def predict(self, params: Params, image_ids: list[str]) -> pd.DataFrame:
        fused = self.task.fuse_members(rows_of_images(self.tables, image_ids), params)
        return self.task.postprocess(fused, params, self.gt.ignore_classes)

    def gain(self, fitted: pd.DataFrame, default: pd.DataFrame, groups: pd.Series) -> dict[str, float]:
        gt = self.gt.subset(groups.index)
        return score_gain(self.task.ranking(gt, fitted), self.task.ranking(gt, default), groups)

    def _fusion(self, label: str) -> Options:
        """Overlap and rule of confidence of a class that several views or members find."""
        weights = self._default_weights(label)
        if sum(len(self.tables[name]) for name in weights) < 2:
            return []
        ious: Options = [{"wbf_iou_threshold": {label: iou}} for iou in FUSION_IOUS]
        if self.task.settings.predict.ensemble_method == "nms":
            return ious
        return [{**iou, "conf_type": {label: conf}} for conf, iou in product(("avg", "max"), ious)]

    def _weights(self, label: str) -> Options:
        """Weights of the members for a class, where several count; those of weight 0 keep it."""
        default = self._default_weights(label)
        options: dict[tuple[float, ...], Params] = {}
        for name, factor in product(default, WEIGHT_FACTORS):
            weights = default | {name: default[name] * factor}
            if any(weights.values()):
                ratio = np.round(list(weights.values()) / np.sum(list(weights.values())), 9)
                options.setdefault(tuple(ratio), {"weights": {label: dict.fromkeys(self.tables, 0.0) | weights}})
        return list(options.values()) if len(default) > 1 else []

    def _default_weights(self, label: str) -> dict[str, float]:
        """Weights as set, of the members that count for a class."""
        weights = {name: self.task.member_weights(name)[label] for name in self.tables}
        return {name: weight for name, weight in weights.items() if weight}

    def _fit(self, by_class: list[Options], params: Params, image_ids: list[str]) -> Params:
        """Take for one class after the other the options with the highest score, the first of equals."""
        for options in by_class:
            merged = [merge_params(params, change) for change in options]
            params = merged[int(np.argmax([self._score(each, image_ids) for each in merged]))]
        return params

    def _score(self, params: Params, image_ids: list[str]) -> float:
        """Compute the mean average precision on these images; NaN where no class has ground truth there."""
        ranked = filter(None, (self._rank(label, params) for label in self.labels))
        weights = np.isin(self._ranked_ids, image_ids).astype(np.float64)
        values = np.array([float(each.average_precision(weights)) for each in ranked])
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else float("nan")

    @cached_property
    def _ranked_ids(self) -> list[str]:
        """The images that `Ranking` knows, in its order."""
        return sorted(self.task.drop_ignored(self.gt, empty(DETECTIONS))[0].images["image_id"])

    def _rank(self, label: str, params: Params) -> RankedClass | None:
        """Rank the detections of one class in all images; None without ground truth."""
        own = (label, self.task.negative)
        used = {
            key: {name: value[name] for name in own if name in value} if isinstance(value, dict) else value
            for key, value in params.items()
        }
        key = json.dumps([label, used], sort_keys=True)
        if key not in self._ranked:
            predictions = self.task.postprocess(self._fuse_class(label, used), params, self.gt.ignore_classes)
            self._ranked[key] = self.task.ranking(self.gt, predictions).classes.get(label)
        return self._ranked[key]

    def _fuse_class(self, label: str, params: Params) -> pd.DataFrame:
        """Fuse the boxes of one class; the last tables are held, since later steps change no fusion."""
        key = json.dumps([label, {name: params.get(name) for name in FUSION_PARAMS}], sort_keys=True)
        if key not in self._fused:
            if len(self._fused) == MAX_FUSED:
                del self._fused[next(iter(self._fused))]
            self._fused[key] = self.task.fuse_members(self._of_class[label], params)
        return self._fused[key]

    @cached_property
    def _of_class(self) -> dict[str, MemberTables]:
        """The tables by class, each with the rows of the negative class."""
        return {
            label: {
                name: [view[view["label"].isin([label, self.task.negative])] for view in views]
                for name, views in self.tables.items()
            }
            for label in self.labels
        }
