"""The rule by which P(negative), the probability that an image shows no object, changes the scores of its boxes."""

import numpy as np
import pandas as pd


def apply_negative(raw: pd.DataFrame, negative: str, threshold: float | None = None) -> pd.DataFrame:
    """Apply P(negative) of an image, whose row each has, to the scores of its boxes.

    Without a threshold each box is scaled by 1 - P(negative). Otherwise the decision is hard: from this P(negative) on
    the image is negative with score 1 and has no boxes, below it is negative with score 0.
    """
    is_negative = (raw["label"] == negative).to_numpy()
    by_image = raw[is_negative].set_index("image_id")["score"].astype(np.float64)
    probability = raw["image_id"].map(by_image).to_numpy(np.float64)
    scores = raw["score"].to_numpy(np.float64)
    if threshold is None:
        return raw.assign(score=np.where(is_negative, probability, scores * (1 - probability)))
    empty = probability >= threshold
    decided = raw.assign(score=np.where(is_negative, empty.astype(np.float64), scores))
    return decided[is_negative | ~empty].reset_index(drop=True)
