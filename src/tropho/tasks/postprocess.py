"""Detections as they are submitted: what an image says as a whole, applied to each of its boxes.

Only the order of confidences within a class counts on the leaderboard, so a factor on all boxes of a class would
change nothing. How boxes of different images compare does count: each is scaled by 1 - P(negative).
"""

import numpy as np
import pandas as pd

from tropho.tables import split_names


def postprocess_detections(
    predictions: pd.DataFrame,
    negative: str | None,
    ignore_classes: pd.Series | None = None,
) -> pd.DataFrame:
    """Apply what is known of whole images.

    Args:
        predictions: columns of tables.DETECTIONS; one row of the negative class an image, if there is one.
        negative: the class that says "nothing here".
        ignore_classes: names to drop per image (tables.join_names), indexed by image_id.
    """
    if ignore_classes is not None and ignore_classes.notna().any():
        predictions = drop_ignored_classes(predictions, ignore_classes)
    if not negative:
        return predictions
    absent = negative_probability(predictions, negative)
    is_negative = (predictions["label"] == negative).to_numpy()
    probability = predictions["image_id"].map(absent).to_numpy(np.float64)
    scores = predictions["score"].to_numpy(np.float64)
    return predictions.assign(score=np.where(is_negative, probability, scores * (1 - probability)))


def drop_ignored_classes(predictions: pd.DataFrame, ignore_classes: pd.Series) -> pd.DataFrame:
    """Leave out boxes of classes that annotators left out of that image."""
    pairs = ignore_classes.dropna().map(split_names).explode()
    left_out = pd.MultiIndex.from_arrays([pairs.index, pairs.to_numpy()])
    found = pd.MultiIndex.from_arrays([predictions["image_id"], predictions["label"]])
    return predictions[~found.isin(left_out)].reset_index(drop=True)


def negative_probability(predictions: pd.DataFrame, negative: str) -> pd.Series:
    """Return P(negative) by image_id."""
    own = predictions[predictions["label"] == negative]
    return own.set_index("image_id")["score"].astype(np.float64)
