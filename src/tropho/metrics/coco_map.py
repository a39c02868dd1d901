"""COCO's mean average precision, by faster-coco-eval."""

from typing import Any

import numpy as np
import pandas as pd

from tropho.tables import BOX

MAX_DETECTIONS = 100  # of an image and class, as in COCO


def coco_map(gt: pd.DataFrame, predictions: pd.DataFrame, image_ids: list[str], classes: list[str]) -> dict[str, float]:
    """Compute COCO's average precision at IoU 0.5 and its mean over 0.50, 0.55, ... 0.95; boxes are half-open.

    Scored are all of `image_ids`, those without boxes too, and no others. Predictions have no rows of a negative class.

    Returns:
        map50, map50_95 and map50/<class>, map50_95/<class>; NaN for a class without ground truth.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    images = {image_id: number for number, image_id in enumerate(image_ids, start=1)}
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    annotations = [{"id": n, "iscrowd": 0, **row} for n, row in enumerate(_rows(gt, images, numbers), start=1)]
    data = {
        "images": [{"id": number} for number in images.values()],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": annotations,
    }
    reference, results = COCO(data, print_function=_silent), _rows(predictions, images, numbers)
    evaluator = COCOeval_faster(reference, reference.loadRes(results), "bbox", print_function=_silent)
    evaluator.params.maxDets = [MAX_DETECTIONS]
    evaluator.evaluate()
    evaluator.accumulate()
    precision = np.asarray(evaluator.eval["precision"])[..., 0, 0]  # (overlaps, recalls, classes)
    absent = np.all(precision < 0, axis=(0, 1))
    by_class = np.where(absent, np.nan, precision.mean(axis=1))  # (overlaps, classes)
    present = by_class[:, ~absent]
    result = {
        "map50": float(present[0].mean()) if present.size else float("nan"),
        "map50_95": float(present.mean()) if present.size else float("nan"),
    }
    for name, values in zip(classes, by_class.T, strict=True):
        result[f"map50/{name}"] = float(values[0])
        result[f"map50_95/{name}"] = float(values.mean())
    return result


def _rows(table: pd.DataFrame, images: dict[str, int], classes: dict[str, int]) -> list[dict[str, Any]]:
    """Convert boxes to COCO's rows: numbered image and class, bbox as x, y, width, height, and the score if any."""
    known = table[table["image_id"].isin(images) & table["label"].isin(classes)]
    boxes = known[BOX].to_numpy(np.float64, copy=True)
    boxes[:, 2:] -= boxes[:, :2]
    columns = {
        "image_id": known["image_id"].map(images).tolist(),
        "category_id": known["label"].map(classes).tolist(),
        "bbox": boxes.tolist(),
        "area": np.prod(boxes[:, 2:], axis=1).tolist(),
        **({"score": known["score"].tolist()} if "score" in known else {}),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _silent(*_: object) -> None:
    """Swallow the library's progress messages."""
