"""The leaderboard's metric of whole sets of images, empty ones included, with bootstrap intervals."""

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats
from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.leaderboard_map import GtMatches, Ranking, match_ground_truth
from tropho.tables import BOX

WEIGHTS_AT_ONCE = 2_000_000  # of draws x detections; bounds memory to some 100 MB
_EVERY_IMAGE = ""


def rank_images(image_ids: list[str], truth: pd.DataFrame, predictions: pd.DataFrame, negative: str | None) -> Ranking:
    """Judge detections as the leaderboard does, images without any true or predicted box included.

    Args:
        image_ids: every image that is judged.
        truth: true boxes, columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS.
        negative: the class that says "nothing here", if there is one; true of each image without boxes.
    """
    if negative:
        scores = predictions["score"].to_numpy(np.float64)
        return match_images(image_ids, truth, predictions, negative).rank(scores)
    # The metric knows only images that have rows in both tables: an extra class, left out of the mean, gives
    # every image one, so that false alarms in empty images count and images without detections are no error.
    marks = _marks(image_ids, _EVERY_IMAGE)
    predictions = pd.concat([predictions, marks.assign(score=1.0)])
    scores = predictions["score"].to_numpy(np.float64)
    ranking = match_ground_truth(pd.concat([truth, marks]), predictions).rank(scores)
    del ranking.classes[_EVERY_IMAGE]
    return ranking


def match_images(image_ids: list[str], truth: pd.DataFrame, predictions: pd.DataFrame, negative: str) -> GtMatches:
    """As `rank_images`, for confidences that are still to be chosen."""
    boxed = set(truth["image_id"])
    empty = [each for each in image_ids if each not in boxed]
    return match_ground_truth(pd.concat([truth, _marks(empty, negative)]), predictions)


def _marks(image_ids: list[str], label: str) -> pd.DataFrame:
    """A row an image with the box 0, 0, 0, 0, as the metric wants for what concerns the whole image."""
    return pd.DataFrame({"image_id": pd.Series(image_ids, dtype="string"), "label": label, **dict.fromkeys(BOX, 0.0)})


def leaderboard_intervals(
    ranking: Ranking, groups: pd.Series, score_name: str, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """The mean and each class's average precision with 95 % intervals, resampled by group.

    Args:
        ranking: every detection judged; see metrics.boxes.rank.
        groups: group of each image, by image_id.
        score_name: what the mean is to be called.
        draws: how often the groups are drawn.
        seed: of the draws.

    Returns:
        Index: score_name, ap/<class>; columns value, low, high (NaN = undefined).
    """

    def statistic(weights: Floats) -> dict[str, Floats]:
        values = {f"ap/{name}": each for name, each in _precisions(ranking, weights).items()}
        return {score_name: _mean(list(values.values()), len(weights)), **values}

    return with_intervals(statistic, groups.loc[ranking.image_ids].to_numpy(), draws=draws, seed=seed)


def score_gain(ours: Ranking, theirs: Ranking, groups: pd.Series, draws: int = 1000, seed: int = 0) -> dict[str, float]:
    """How much better one ranking scores than another of the same images: value, and a paired 95 % interval.

    Returns:
        value, low, high; low and high are NaN with fewer than two groups.
    """

    def mean(ranking: Ranking, weights: Floats) -> Floats:
        return _mean(list(_precisions(ranking, weights).values()), len(weights))

    def statistic(weights: Floats) -> dict[str, Floats]:
        return {"gain": mean(ours, weights) - mean(theirs, weights)}

    table = with_intervals(statistic, groups.loc[ours.image_ids].to_numpy(), draws=draws, seed=seed)
    return {name: float(table[name]["gain"]) for name in ("value", "low", "high")}


def _mean(values: list[Floats], draws: int) -> Floats:
    """(D,) mean over the classes of what is defined, NaN where nothing is; `values` are (D,) a class."""
    total, count = np.zeros(draws), np.zeros(draws)
    for each in values:
        known = ~np.isnan(each)
        total[known] += each[known]
        count += known
    return np.divide(total, count, out=np.full(draws, np.nan), where=count > 0)


def _precisions(ranking: Ranking, weights: Floats) -> dict[str, Floats]:
    """Average precision by class, (D,) for weights (D, I), in blocks that bound memory."""
    most = max((len(ranked.image) for ranked in ranking.classes.values()), default=0)
    at_once = max(1, WEIGHTS_AT_ONCE // max(most, 1))
    blocks = [weights[start : start + at_once] for start in range(0, len(weights), at_once)]
    return {
        name: np.concatenate([ranked.average_precision(block) for block in blocks])
        for name, ranked in ranking.classes.items()
    }
