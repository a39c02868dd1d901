"""Tables of detections: from a model's outputs to post-processed rows and to a submission."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.boxes.box_fusion import merge_overlapping
from tropho.boxes.box_ops import Floats, Ints
from tropho.data.task_data import ImageSizes
from tropho.tables import BOX, DETECTIONS, conform, empty, split_names
from tropho.tasks.negative_rule import apply_negative


def detections_table(
    outputs: Sequence[Mapping[str, ArrayLike]],
    image_ids: list[str],
    sizes: ImageSizes,
    classes: list[str],
    negative: str | None,
) -> pd.DataFrame:
    """Convert outputs of `DetectionTask.predict` to tables.DETECTIONS; clip boxes to the image, drop empty ones.

    Outputs may be CPU tensors or NumPy arrays, one of each of `image_ids`. Where there is a negative class, its row
    comes last for each image.
    """
    if not image_ids:
        return empty(DETECTIONS)
    rows = []
    for image_id, output in zip(image_ids, outputs, strict=True):
        sx, sy = sizes.scale(image_id)
        width, height = sizes.original_size(image_id)
        boxes = (np.asarray(output["boxes"], np.float64) / [sx, sy, sx, sy]).clip(
            0, [width, height, width, height]
        )  # (n, 4)
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, scores = boxes[keep], np.asarray(output["scores"], np.float64)[keep]
        labels = [classes[idx] for idx in np.asarray(output["labels"], np.int64)[keep]]
        if negative:
            boxes = np.vstack([boxes, np.zeros((1, 4))])
            scores = np.append(scores, 1.0 - float(np.asarray(output["presence"])))
            labels.append(negative)
        columns = dict(zip(BOX, boxes.T, strict=True))
        rows.append(pd.DataFrame({"image_id": image_id, "label": labels, "score": scores, **columns}))
    return conform(pd.concat(rows, ignore_index=True), DETECTIONS)


def postprocess_detections(
    raw: pd.DataFrame,
    negative: str | None,
    ignore_classes: pd.Series | None = None,
    params: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Drop classes that annotators left out, merge duplicates, adjust sizes, and apply P(negative) to the scores.

    Args:
        raw: tables.DETECTIONS; one row of the negative class an image, if there is one.
        negative: name of the negative class; None = there is none.
        ignore_classes: names to drop per image (tables.join_names), indexed by image_id.
        params: "duplicate_iou" by class, as for `merge_overlapping`; "size_shrinkage" by class, as for `shrink_sizes`;
            "negative_threshold", as for `apply_negative`. What is missing is not done.
    """
    params = params or {}
    if ignore_classes is not None and ignore_classes.notna().any():
        raw = drop_ignored_classes(raw, ignore_classes)
    if "duplicate_iou" in params:
        raw = merge_overlapping(raw, params["duplicate_iou"], negative)
    if "size_shrinkage" in params:
        raw = shrink_sizes(raw, params["size_shrinkage"])
    return apply_negative(raw, negative, params.get("negative_threshold")) if negative else raw


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
    """Drop rows of classes that annotators left out of the image; see `postprocess_detections`."""
    pairs = ignore_classes.dropna().map(split_names).explode()
    ignored = pd.MultiIndex.from_arrays([pairs.index, pairs.to_numpy()])
    rows = pd.MultiIndex.from_arrays([boxes["image_id"], boxes["label"]])
    return boxes[~rows.isin(ignored)].reset_index(drop=True)


def submission_table(predictions: pd.DataFrame, image_ids: list[str], negative: str | None) -> pd.DataFrame:
    """Sort detections by image and descending score; see `Task.to_submission`."""
    predictions = predictions[predictions["image_id"].isin(image_ids)]
    predicted = set(predictions["image_id"])
    missing = [image_id for image_id in image_ids if image_id not in predicted]
    if negative and missing:
        rows = {"image_id": missing, "label": negative, "score": 0.5, **dict.fromkeys(BOX, 0.0)}
        predictions = pd.concat([predictions, conform(pd.DataFrame(rows), DETECTIONS)])
    order = {image_id: idx for idx, image_id in enumerate(image_ids)}
    table = predictions.assign(order=predictions["image_id"].map(order))
    return table.sort_values(["order", "score"], ascending=[True, False], kind="stable").drop(columns="order")
