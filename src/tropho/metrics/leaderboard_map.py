"""The leaderboard's metric of the Lacuna Malaria Detection Challenge, and its bootstrap-ready parts.

The mean over the classes of the truth (NEG is one) of the all-point average precision (Pascal VOC 2010) at an
overlap of 0.5. Pixels are inclusive: a box is xmax - xmin + 1 wide, so that NEG's box 0, 0, 0, 0 meets
itself.
"""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats, Ints, pair_iou, pairs_of_equal_key
from tropho.errors import DataError
from tropho.tables import BOX

IOU = 0.5
INCLUSIVE = 1.0  # pixels that the last row and column of a box add to its size


@dataclass(frozen=True)
class RankedClass:
    """Detections of one class by falling confidence, judged against the truth.

    Attributes:
        image: (D,) rows of `Ranking.image_ids`.
        hit: (D,) whether the detection is a true positive.
        truths: (I,) boxes of the class in each image.
    """

    image: Ints
    hit: np.ndarray
    truths: Ints

    def average_precision(self, weights: Floats | None = None) -> Floats:
        """All-point average precision.

        Args:
            weights: (..., I) how often each image counts, such as the draws of a bootstrap; None = each once.

        Returns:
            (...) values in 0..1; NaN where no box of the class is drawn.
        """
        weights = np.ones(len(self.truths)) if weights is None else weights
        counts = weights[..., self.image]
        positives = weights @ self.truths
        found = np.cumsum(counts * self.hit, axis=-1)
        seen = np.cumsum(counts, axis=-1)
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
        area = (envelope * counts * self.hit).sum(axis=-1)
        return np.divide(area, positives, out=np.full(np.shape(area), np.nan), where=positives > 0)


@dataclass(frozen=True)
class Ranking:
    """Every class of the truth with its judged detections; `image_ids` is sorted."""

    image_ids: list[str]
    classes: dict[str, RankedClass]

    def score(self, weights: Floats | None = None) -> Floats:
        """Mean average precision over the classes that are drawn, (...) for weights of (..., I); there must be one."""
        values = np.stack([ranked.average_precision(weights) for ranked in self.classes.values()])
        drawn = np.isfinite(values)
        return np.where(drawn, values, 0.0).sum(axis=0) / np.maximum(drawn.sum(axis=0), 1)


class Score(TypedDict):
    """What `leaderboard_map` returns: the mean, and the average precision of each class of the truth."""

    score: float
    ap: dict[str, float]


def leaderboard_map(truth: pd.DataFrame, predictions: pd.DataFrame) -> Score:
    """Score predictions as the leaderboard does.

    Args:
        truth: columns image_id, label, xmin, ymin, xmax, ymax; images without objects have a NEG row.
        predictions: the same columns and score. Images that the truth does not know are ignored.

    Returns:
        {"score": mean, "ap": {class: average precision}}; a class that is never predicted has 0.

    Raises:
        DataError: the truth is empty, or one of its images has no prediction.
    """
    ranking = rank(truth, predictions)
    ap = {label: float(ranked.average_precision()) for label, ranked in ranking.classes.items()}
    return {"score": float(np.mean(list(ap.values()))), "ap": ap}


@dataclass(frozen=True)
class GtMatches:
    """The truth box that each of N detections looks at; found once, ranked for any confidences.

    Attributes:
        image_ids: sorted.
        labels: classes of the truth, sorted.
        truths: (classes, images) number of true boxes.
        image: (N,) row of image_ids, -1 = unknown.
        label: (N,) row of labels, -1 = unknown.
        claimed: (N,) number of the truth box that it overlaps most (the first of equals), -1 = none by IOU or more.
    """

    image_ids: list[str]
    labels: list[str]
    truths: Ints
    image: Ints
    label: Ints
    claimed: Ints

    def rank(self, scores: Floats) -> Ranking:
        """Judge the detections with these confidences (N,).

        Detections of a class go by falling confidence, ties by image_id, then row; one is false if the truth box
        that it looks at is taken.
        """
        known = np.flatnonzero((self.image >= 0) & (self.label >= 0))
        order = known[np.lexsort((self.image[known], -scores[known]))]
        hit = np.zeros(len(order), dtype=bool)
        taken, first = np.unique(self.claimed[order], return_index=True)
        hit[first[taken >= 0]] = True
        image, label = self.image[order], self.label[order]
        classes = {
            name: RankedClass(image[label == code], hit[label == code], self.truths[code])
            for code, name in enumerate(self.labels)
        }
        return Ranking(self.image_ids, classes)


def rank(truth: pd.DataFrame, predictions: pd.DataFrame) -> Ranking:
    """Judge every detection once, so that the score can be had for any weighting of the images.

    Raises:
        DataError: the truth is empty, or one of its images has no prediction.
    """
    return match_ground_truth(truth, predictions).rank(predictions["score"].to_numpy(np.float64))


def match_ground_truth(truth: pd.DataFrame, predictions: pd.DataFrame) -> GtMatches:
    """Find the truth box, of its class and image, that each detection looks at.

    Raises:
        DataError: the truth is empty, or one of its images has no prediction.
    """
    if truth.empty:
        raise DataError("The truth has no rows, so there is nothing to score against.")
    image_ids, truth_image, image = _common_codes(truth["image_id"], predictions["image_id"])
    labels, truth_label, label = _common_codes(truth["label"], predictions["label"])
    missing = np.setdiff1d(np.arange(len(image_ids)), image)
    if len(missing):
        raise DataError(
            f"{len(missing)} of {len(image_ids)} images have no prediction, such as "
            f"'{image_ids[missing[0]]}'; give every image at least one row."
        )
    known = np.flatnonzero((image >= 0) & (label >= 0))
    claimed = np.full(len(predictions), -1)
    claimed[known] = _claimed(
        truth_image * len(labels) + truth_label,
        truth[BOX].to_numpy(np.float64),
        image[known] * len(labels) + label[known],
        predictions[BOX].to_numpy(np.float64)[known],
    )
    truths = np.zeros((len(labels), len(image_ids)), np.int64)
    np.add.at(truths, (truth_label, truth_image), 1)
    return GtMatches(image_ids, labels, truths, image, label, claimed)


def _common_codes(truth: pd.Series, predicted: pd.Series) -> tuple[list[str], Ints, Ints]:
    """The truth's values sorted, and both columns as indices into them (-1 = unknown to the truth)."""
    names = sorted(truth.unique())
    index = pd.Index(names, dtype=object)
    first = index.get_indexer(truth.astype(object)).astype(np.int64)
    return names, first, index.get_indexer(predicted.astype(object)).astype(np.int64)


def _claimed(truth_key: Ints, truth_box: Floats, key: Ints, box: Floats) -> Ints:
    """Number of the truth box that each detection overlaps most, the first of equals; -1 = none by IOU or more."""
    claimed = np.full(len(key), -1)
    for rows, columns in pairs_of_equal_key(key, truth_key):
        if len(rows) == 0:
            continue
        overlap = pair_iou(box[rows], truth_box[columns], INCLUSIVE)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        best = np.maximum.reduceat(overlap, starts)
        is_best = overlap == np.repeat(best, np.diff(starts, append=len(rows)))
        first_best = np.minimum.reduceat(np.where(is_best, columns, len(truth_key)), starts)
        claimed[rows[starts]] = np.where(best >= IOU, first_best, -1)
    return claimed
