"""The leaderboard's metric of whole sets of images, empty ones included, with bootstrap intervals."""

import numpy as np
import pandas as pd

from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.boxes import Ranking, rank
from tropho.metrics.overlap import Floats
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
        boxed = set(truth["image_id"])
        return rank(
            pd.concat([truth, _marks([each for each in image_ids if each not in boxed], negative)]), predictions
        )
    # The metric knows only images that have rows in both tables: an extra class, left out of the mean, gives
    # every image one, so that false alarms in empty images count and images without detections are no error.
    marks = _marks(image_ids, _EVERY_IMAGE)
    ranking = rank(pd.concat([truth, marks]), pd.concat([predictions, marks.assign(score=1.0)]))
    del ranking.classes[_EVERY_IMAGE]
    return ranking


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
    most = max((len(ranked.image) for ranked in ranking.classes.values()), default=0)
    at_once = max(1, WEIGHTS_AT_ONCE // max(most, 1))

    def statistic(weights: Floats) -> dict[str, Floats]:
        blocks = [weights[start : start + at_once] for start in range(0, len(weights), at_once)]
        values = {
            f"ap/{name}": np.concatenate([ranked.average_precision(block) for block in blocks])
            for name, ranked in ranking.classes.items()
        }
        stacked = np.stack(list(values.values()))
        known = ~np.isnan(stacked)
        total = np.where(known, stacked, 0.0).sum(axis=0)
        mean = np.divide(total, known.sum(axis=0), out=np.full(len(weights), np.nan), where=known.any(axis=0))
        return {score_name: mean, **values}

    return with_intervals(statistic, groups.loc[ranking.image_ids].to_numpy(), draws=draws, seed=seed)
