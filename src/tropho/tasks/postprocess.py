"""Tables of detections: from a model's outputs to post-processed rows and to a submission."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.data.task_data import ImageSizes
from tropho.tables import BOX, DETECTIONS, conform, empty, split_names


def detections_table(
    outputs: Sequence[Mapping[str, ArrayLike]],
    image_ids: list[str],
    sizes: ImageSizes,
    classes: list[str],
    negative: str | None,
) -> pd.DataFrame:
    """Convert outputs of `DetectionTask.predict` to tables.DETECTIONS; clip boxes to the image, drop empty ones.

    Args:
        outputs: N dicts of CPU tensors or NumPy arrays.
        image_ids: N ids.
        sizes: of these images.
        classes: names, in the order of class indices.
        negative: name of the negative class, whose row comes last for each image; None = there is none.
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
    raw: pd.DataFrame, negative: str | None, ignore_classes: pd.Series | None = None
) -> pd.DataFrame:
    """Scale the score of each box by 1 - P(negative) of its image, and drop classes that annotators left out.

    Args:
        raw: tables.DETECTIONS; one row of the negative class an image, if there is one.
        negative: name of the negative class; None = there is none.
        ignore_classes: names to drop per image (tables.join_names), indexed by image_id.
    """
    if ignore_classes is not None and ignore_classes.notna().any():
        raw = drop_ignored_classes(raw, ignore_classes)
    if not negative:
        return raw
    is_negative = (raw["label"] == negative).to_numpy()
    probability = raw["image_id"].map(negative_probability(raw, negative)).to_numpy(np.float64)
    scores = raw["score"].to_numpy(np.float64)
    return raw.assign(score=np.where(is_negative, probability, scores * (1 - probability)))


def drop_ignored_classes(boxes: pd.DataFrame, ignore_classes: pd.Series) -> pd.DataFrame:
    """Drop rows of classes that annotators left out of the image; see `postprocess_detections`."""
    pairs = ignore_classes.dropna().map(split_names).explode()
    ignored = pd.MultiIndex.from_arrays([pairs.index, pairs.to_numpy()])
    rows = pd.MultiIndex.from_arrays([boxes["image_id"], boxes["label"]])
    return boxes[~rows.isin(ignored)].reset_index(drop=True)


def negative_probability(detections: pd.DataFrame, negative: str) -> pd.Series:
    """Extract P(no object), float64 indexed by image_id."""
    rows = detections[detections["label"] == negative]
    return rows.set_index("image_id")["score"].astype(np.float64)


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
