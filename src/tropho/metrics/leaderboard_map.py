"""The mean average precision of the Lacuna Malaria Detection Challenge's leaderboard, with bootstrap intervals.

The mean over the ground truth's classes (NEG is one) of all-point average precision (Pascal VOC 2010) at IoU 0.5.
Pixels are inclusive: a box is xmax - xmin + 1 wide, so that NEG's box 0, 0, 0, 0 overlaps itself.
"""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats, Ints, pair_iou, pairs_of_equal_key
from tropho.errors import DataError
from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.confusion import ratio
from tropho.tables import BOX

IOU = 0.5
INCLUSIVE = 1.0  # pixels that the last row and column of a box add to its size

_EVERY_IMAGE = ""


class Score(TypedDict):
    """The mean, and the average precision of each class of the ground truth."""

    score: float
    ap: dict[str, float]


@dataclass(frozen=True)
class RankedClass:
    """Detections of one class by descending score."""

    image: Ints  # (D,) rows of `Ranking.image_ids`
    is_tp: np.ndarray  # (D,) whether the detection is a true positive
    n_gt: Ints  # (I,) ground-truth boxes of the class in each image

    def average_precision(self, weights: Floats | None = None) -> Floats:
        """Compute the all-point average precision (...) in 0..1; NaN where no ground-truth box of the class is drawn.

        Weights (..., I) say how often each image counts, such as the draws of a bootstrap; None = once.
        """
        weights = np.ones(len(self.n_gt)) if weights is None else weights
        counts = weights[..., self.image]  # (..., D)
        positives = weights @ self.n_gt  # (...)
        tp = np.cumsum(counts * self.is_tp, axis=-1)
        seen = np.cumsum(counts, axis=-1)
        precision = np.divide(tp, seen, out=np.zeros_like(tp), where=seen > 0)
        envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
        area = (envelope * counts * self.is_tp).sum(axis=-1)
        return np.asarray(np.divide(area, positives, out=np.full(np.shape(area), np.nan), where=positives > 0))


@dataclass(frozen=True)
class Ranking:
    """Every class of the ground truth with its ranked detections; `image_ids` is sorted."""

    image_ids: list[str]
    classes: dict[str, RankedClass]

    @property
    def longest(self) -> int:
        """The most detections of any class."""
        return max((len(ranked.image) for ranked in self.classes.values()), default=0)

    def scores(self) -> Score:
        """Compute the mean average precision over the classes, NaN without any, and that of each."""
        ap = {name: float(ranked.average_precision()) for name, ranked in self.classes.items()}
        return {"score": float(np.mean(list(ap.values()))) if ap else float("nan"), "ap": ap}


def leaderboard_map(gt: pd.DataFrame, predictions: pd.DataFrame) -> Score:
    """Score predictions as the leaderboard does; a class without predictions has an average precision of 0.

    The ground truth includes NEG's boxes. Predictions of images that are not in it do not count.

    Raises:
        DataError: the ground truth is empty, or one of its images has no prediction.
    """
    return rank(gt, predictions).scores()


def rank(gt: pd.DataFrame, predictions: pd.DataFrame) -> Ranking:
    """Rank the detections by score, ties by image_id, then row; arguments and errors as in `leaderboard_map`.

    A detection is a false positive if the box that it overlaps most is taken by one that ranks higher.
    """
    if gt.empty:
        raise DataError("The truth has no rows, so there is nothing to score against.")
    image_ids, gt_image, image = _common_codes(gt["image_id"], predictions["image_id"])
    labels, gt_label, label = _common_codes(gt["label"], predictions["label"])
    missing = np.setdiff1d(np.arange(len(image_ids)), image)
    if len(missing):
        raise DataError(
            f"{len(missing)} of {len(image_ids)} images have no prediction, such as "
            f"'{image_ids[missing[0]]}'; give every image at least one row."
        )
    known = np.flatnonzero((image >= 0) & (label >= 0))
    order = known[np.lexsort((image[known], -predictions["score"].to_numpy(np.float64)[known]))]
    image, label = image[order], label[order]
    best_gt = _best_gt(
        gt_image * len(labels) + gt_label,
        gt[BOX].to_numpy(np.float64),
        image * len(labels) + label,
        predictions[BOX].to_numpy(np.float64)[order],
    )
    is_tp = np.zeros(len(order), dtype=bool)
    taken, first = np.unique(best_gt, return_index=True)
    is_tp[first[taken >= 0]] = True
    n_gt = np.zeros((len(labels), len(image_ids)), np.int64)
    np.add.at(n_gt, (gt_label, gt_image), 1)
    of_class = [label == code for code in range(len(labels))]
    return Ranking(
        image_ids,
        {name: RankedClass(image[rows], is_tp[rows], n) for name, rows, n in zip(labels, of_class, n_gt, strict=True)},
    )


def rank_images(image_ids: list[str], gt: pd.DataFrame, predictions: pd.DataFrame, negative: str | None) -> Ranking:
    """Rank the detections of all images, those without any box included; `negative` is the latter's class, if any."""
    if negative:
        with_boxes = set(gt["image_id"])
        empty = [image_id for image_id in image_ids if image_id not in with_boxes]
        return rank(pd.concat([gt, _whole_image_rows(empty, negative)]), predictions)
    # The metric knows only images with rows in both tables; an extra class, left out of the mean, gives each one.
    extra = _whole_image_rows(image_ids, _EVERY_IMAGE)
    ranking = rank(pd.concat([gt, extra]), pd.concat([predictions, extra.assign(score=1.0)]))
    del ranking.classes[_EVERY_IMAGE]
    return ranking


def leaderboard_intervals(ranking: Ranking, groups: pd.Series, score_name: str, draws: int = 1000) -> pd.DataFrame:
    """Compute the mean and each class's average precision with 95 % intervals, resampled by group.

    Groups are indexed by image_id.

    Returns:
        Index: score_name, ap/<class>; columns value, low, high (NaN = undefined) and draws.
    """

    def statistic(weights: Floats) -> dict[str, Floats]:
        values = {f"ap/{name}": ranked.average_precision(weights) for name, ranked in ranking.classes.items()}
        return {score_name: _mean(list(values.values()), len(weights)), **values}

    return with_intervals(statistic, groups.loc[ranking.image_ids].to_numpy(), draws, ranking.longest)


def score_gain(one: Ranking, other: Ranking, groups: pd.Series, draws: int = 1000) -> dict[str, float]:
    """Compute the paired difference of two rankings of the same images: value, low, high of a 95 % interval.

    low and high are NaN with fewer than two groups.
    """

    def mean(ranking: Ranking, weights: Floats) -> Floats:
        return _mean([ranked.average_precision(weights) for ranked in ranking.classes.values()], len(weights))

    def statistic(weights: Floats) -> dict[str, Floats]:
        return {"gain": mean(one, weights) - mean(other, weights)}

    width = max(one.longest, other.longest)
    table = with_intervals(statistic, groups.loc[one.image_ids].to_numpy(), draws, width)
    return {name: float(table[name]["gain"]) for name in ("value", "low", "high")}


def _common_codes(gt: pd.Series, predicted: pd.Series) -> tuple[list[str], Ints, Ints]:
    """Return the ground truth's values sorted, and both columns as rows of them (-1 = unknown)."""
    names = sorted(gt.unique())
    index = pd.Index(names, dtype=object)
    codes = index.get_indexer(gt.astype(object)).astype(np.int64)
    return names, codes, index.get_indexer(predicted.astype(object)).astype(np.int64)


def _best_gt(gt_key: Ints, gt_boxes: Floats, key: Ints, boxes: Floats) -> Ints:
    """Return the row of each detection's best ground-truth box of its key, -1 = none with IoU >= IOU."""
    best_gt = np.full(len(key), -1)
    for rows, gt_idx in pairs_of_equal_key(key, gt_key):
        if len(rows) == 0:
            continue
        overlap = pair_iou(boxes[rows], gt_boxes[gt_idx], INCLUSIVE)  # (P,)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        best = np.maximum.reduceat(overlap, starts)  # one per detection
        is_best = overlap == np.repeat(best, np.diff(starts, append=len(rows)))
        first_best = np.minimum.reduceat(np.where(is_best, gt_idx, len(gt_key)), starts)
        best_gt[rows[starts]] = np.where(best >= IOU, first_best, -1)
    return best_gt


def _whole_image_rows(image_ids: list[str], label: str) -> pd.DataFrame:
    """Make a row an image with the box 0, 0, 0, 0, as the metric wants for a label of the whole image."""
    return pd.DataFrame({"image_id": pd.Series(image_ids, dtype="string"), "label": label, **dict.fromkeys(BOX, 0.0)})


def _mean(values: list[Floats], draws: int) -> Floats:
    """Return the mean (D,) of what is defined over the classes' values (D,), NaN where nothing is."""
    total, count = np.zeros(draws), np.zeros(draws)
    for value in values:
        known = ~np.isnan(value)
        total[known] += value[known]
        count += known
    return ratio(total, count)
