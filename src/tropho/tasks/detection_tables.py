"""Detections as tables: from a network's outputs, and as they are submitted."""

import numpy as np
import pandas as pd
from torch import Tensor

from tropho.data.task_data import ImageSizes
from tropho.tables import BOX, DETECTIONS, conform, empty


def detections_table(
    outputs: list[dict[str, Tensor]], image_ids: list[str], sizes: ImageSizes, classes: list[str], negative: str | None
) -> pd.DataFrame:
    """Outputs in packed pixels -> tables.DETECTIONS; boxes are clipped to the image and empty ones dropped.

    Where there is a negative class, the last row of each image is of it.
    """
    if not image_ids:
        return empty(DETECTIONS)
    rows = [
        _rows(output, image_id, sizes, classes, negative) for image_id, output in zip(image_ids, outputs, strict=True)
    ]
    return conform(pd.concat(rows, ignore_index=True), DETECTIONS)


def _rows(
    output: dict[str, Tensor], image_id: str, sizes: ImageSizes, classes: list[str], negative: str | None
) -> pd.DataFrame:
    """One image's detections, and its negative row last."""
    sx, sy = sizes.scale(image_id)
    width, height = sizes.original_size(image_id)
    boxes = (output["boxes"].double().numpy() / [sx, sy, sx, sy]).clip(0, [width, height, width, height])
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, scores = boxes[keep], output["scores"].double().numpy()[keep]
    labels = [classes[number] for number in output["labels"].long().tolist()]
    labels = [label for label, kept in zip(labels, keep, strict=True) if kept]
    if negative:
        boxes = np.vstack([boxes, np.zeros((1, 4))])
        scores = np.append(scores, 1.0 - float(output["presence"]))
        labels.append(negative)
    columns = dict(zip(BOX, boxes.T, strict=True))
    return pd.DataFrame({"image_id": image_id, "label": labels, "score": scores, **columns})


def submission_table(predictions: pd.DataFrame, image_ids: list[str], negative: str | None) -> pd.DataFrame:
    """Rows of tables.DETECTIONS, image by image in the order given, best first.

    An image that could not be predicted gets a negative row with confidence 0.5: a leaderboard wants every image.
    """
    predictions = predictions[predictions["image_id"].isin(image_ids)]
    predicted = set(predictions["image_id"])
    absent = [each for each in image_ids if each not in predicted]
    if negative and absent:
        rows = {"image_id": absent, "label": negative, "score": 0.5, **dict.fromkeys(BOX, 0.0)}
        predictions = pd.concat([predictions, conform(pd.DataFrame(rows), DETECTIONS)])
    order = {image_id: number for number, image_id in enumerate(image_ids)}
    table = predictions.assign(order=predictions["image_id"].map(order))
    return table.sort_values(["order", "score"], ascending=[True, False], kind="stable").drop(columns="order")
