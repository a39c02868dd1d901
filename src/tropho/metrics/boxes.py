"""The leaderboard's metric of the Lacuna Malaria Detection Challenge, and its bootstrap-ready parts.

The mean over the classes of the truth (NEG is one) of the all-point average precision (Pascal VOC 2010) at an
overlap of 0.5. Pixels are inclusive: a box is xmax - xmin + 1 wide, so that NEG's box 0, 0, 0, 0 meets
itself.
"""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.metrics.overlap import Floats, Ints, pair_iou, pairs_of_equal_key
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
        positives = (weights * self.truths).sum(axis=-1)
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
        """Mean average precision over the classes that are drawn, (...) for weights of (..., I)."""
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


def rank(truth: pd.DataFrame, predictions: pd.DataFrame) -> Ranking:
    """Judge every detection once, so that the score can be had for any weighting of the images.

    Detections of a class go by falling confidence, ties by image_id, then row. Each looks at one truth box
    only, that of its class and image which it overlaps most (the first of equals); it is false if that one
    is taken.

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
    score = predictions["score"].to_numpy(np.float64)
    known = np.flatnonzero((image >= 0) & (label >= 0))
    order = known[np.lexsort((image[known], -score[known]))]
    hit = _hits(
        truth_image * len(labels) + truth_label,
        truth[BOX].to_numpy(np.float64),
        image[order] * len(labels) + label[order],
        predictions[BOX].to_numpy(np.float64)[order],
    )
    classes = {}
    for code, name in enumerate(labels):
        mine = label[order] == code
        counts = np.bincount(truth_image[truth_label == code], minlength=len(image_ids))
        classes[name] = RankedClass(image[order][mine], hit[mine], counts)
    return Ranking(image_ids, classes)


def _common_codes(truth: pd.Series, predicted: pd.Series) -> tuple[list[str], Ints, Ints]:
    """The truth's values sorted, and both columns as indices into them (-1 = unknown to the truth)."""
    names = sorted(truth.unique())
    index = pd.Index(names, dtype=object)
    first = index.get_indexer(truth.astype(object)).astype(np.int64)
    return names, first, index.get_indexer(predicted.astype(object)).astype(np.int64)


def _hits(truth_key: Ints, truth_box: Floats, key: Ints, box: Floats) -> np.ndarray:
    """Which detections, in their order, are the first to claim the truth box that they overlap most."""
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
    hit = np.zeros(len(key), dtype=bool)
    taken, first = np.unique(claimed, return_index=True)
    hit[first[taken >= 0]] = True
    return hit
