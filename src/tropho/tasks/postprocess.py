"""Steps of post-processing for tables of detections."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats, Ints
from tropho.tables import BOX, split_names


def shrink_sizes(boxes: pd.DataFrame, shrinkage: Mapping[str, float]) -> pd.DataFrame:
    """Move width and height of boxes toward their medians over the boxes of the same class in the image.

    log side = (1 - s) * log side + s * log median, with s (0..1) by class; other classes stay. In the median a box
    counts by its score. Centres stay, but no side passes the outermost side of the image's boxes, so that boxes stay
    inside the image.
    """
    rows = boxes[boxes["label"].isin(shrinkage)]
    if rows.empty:
        return boxes
    corners, scores = rows[BOX].to_numpy(np.float64), rows["score"].to_numpy(np.float64)
    group = np.asarray(rows.groupby(["image_id", "label"]).ngroup(), np.int64)
    log_side = np.log(corners[:, 2:] - corners[:, :2])  # (n, 2)
    median = np.stack([grouped_median(log_side[:, axis], scores, group) for axis in (0, 1)], axis=1)  # (n, 2)
    s = rows["label"].map(dict(shrinkage)).to_numpy(np.float64)[:, None]  # (n, 1)
    half = np.exp((1 - s) * log_side + s * median) / 2
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    image = boxes.groupby("image_id")[BOX]
    low, high = image.transform("min").loc[rows.index], image.transform("max").loc[rows.index]
    shrunk = np.hstack(
        [np.maximum(centre - half, low[BOX[:2]].to_numpy()), np.minimum(centre + half, high[BOX[2:]].to_numpy())]
    )
    result = boxes.copy()
    result.loc[rows.index, BOX] = shrunk
    return result


def grouped_median(values: Floats, weights: Floats, group: Ints) -> Floats:
    """Compute the lower weighted median (n,) of the group of each value; arguments are (n,), groups from 0."""
    order = np.lexsort((values, group))
    total = np.cumsum(weights[order])
    end = np.cumsum(np.bincount(group))  # (G,)
    before = np.concatenate([[0.0], total[end[:-1] - 1]])  # (G,) weight of the groups before
    half = (before + total[end - 1]) / 2
    reached = np.flatnonzero(total >= half[group[order]])
    first = reached[np.unique(group[order][reached], return_index=True)[1]]  # (G,)
    return values[order][first][group]


def drop_ignored_classes(boxes: pd.DataFrame, ignore_classes: pd.Series) -> pd.DataFrame:
    """Drop rows of classes that annotators left out of the image: names (tables.join_names) indexed by image_id."""
    pairs = ignore_classes.dropna().map(split_names).explode()
    ignored = pd.MultiIndex.from_arrays([pairs.index, pairs.to_numpy()])
    rows = pd.MultiIndex.from_arrays([boxes["image_id"], boxes["label"]])
    return boxes[~rows.isin(ignored)].reset_index(drop=True)
