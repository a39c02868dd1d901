"""Detections as they are submitted: what an image says as a whole, applied to each of its boxes.

Only the order of confidences within a class counts on the leaderboard, so a factor on all boxes of a class would
change nothing. How boxes of different images compare does count: each is scaled by a power of 1 - P(negative).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tropho.metrics.overlap import Floats

CAUTION = 1e-4  # probabilities are kept so far from 0 and 1 before their log-odds are taken

Calibration = dict[str, float]
"""Weights of the log-odds of P(negative): intercept, negative (of the network's own) and one for each class."""


def finish_detections(
    predictions: pd.DataFrame,
    negative: str | None,
    fitted: Mapping[str, Any] | None = None,
    ignored: pd.Series | None = None,
) -> pd.DataFrame:
    """Apply what is known of whole images.

    Args:
        predictions: columns of tables.DETECTIONS; one row of the negative class an image, if there is one.
        negative: the class that says "nothing here".
        fitted: "negative" (a Calibration) and "powers" (by class), both optional; see finish_search.
        ignored: names joined by "+" of the classes that annotators left out of an image, by image_id: their boxes are
            no finds there, and go.
    """
    if ignored is not None and ignored.notna().any():
        predictions = suppress(predictions, ignored)
    if not negative:
        return predictions
    fitted = fitted or {}
    absent = negative_probability(predictions, negative, fitted.get("negative"))
    is_negative = (predictions["label"] == negative).to_numpy()
    probability = predictions["image_id"].map(absent).to_numpy(np.float64)
    power = powers_of(predictions["label"], fitted.get("powers", {}))
    scores = predictions["score"].to_numpy(np.float64)
    return predictions.assign(score=np.where(is_negative, probability, scores * (1 - probability) ** power))


def suppress(predictions: pd.DataFrame, ignored: pd.Series) -> pd.DataFrame:
    """Leave out boxes of classes that annotators left out of that image."""
    pairs = ignored.dropna().str.split("+").explode()
    left_out = pd.MultiIndex.from_arrays([pairs.index, pairs.to_numpy()])
    found = pd.MultiIndex.from_arrays([predictions["image_id"], predictions["label"]])
    return predictions[~found.isin(left_out)].reset_index(drop=True)


def powers_of(labels: pd.Series, powers: Mapping[str, float]) -> Floats:
    """(N,) the power of 1 - P(negative) by which boxes of each row's class are scaled; 1 where none is given."""
    return np.array([powers.get(label, 1.0) for label in labels], np.float64)


def negative_probability(predictions: pd.DataFrame, negative: str, calibration: Calibration | None = None) -> pd.Series:
    """P(negative) by image_id: the network's own, or with a calibration what it and the best boxes say together."""
    if not calibration:
        own = predictions[predictions["label"] == negative]
        return own.set_index("image_id")["score"].astype(np.float64)
    classes = [name for name in calibration if name not in ("intercept", negative)]
    evidence = negative_evidence(predictions, negative, classes)
    weights = np.array([calibration[str(name)] for name in evidence])
    logit = evidence.to_numpy() @ weights + calibration["intercept"]
    return pd.Series(1 / (1 + np.exp(-logit)), index=evidence.index)


def negative_evidence(predictions: pd.DataFrame, negative: str, classes: Sequence[str]) -> pd.DataFrame:
    """Log-odds by image_id: of the network's own P(negative), and of 1 - the best box of each class."""
    best = predictions.groupby(["image_id", "label"])["score"].max().unstack("label")
    best = best.reindex(columns=[negative, *classes]).fillna(0.0).astype(np.float64)
    absent = best.copy()
    absent[list(classes)] = 1 - best[list(classes)]
    odds = absent.clip(CAUTION, 1 - CAUTION) / (1 - absent.clip(CAUTION, 1 - CAUTION))
    return odds.transform("log")
