"""COCO's mean average precision, by faster-coco-eval."""

from typing import Any

import numpy as np
import pandas as pd

from tropho.tables import BOX

MAX_DETECTIONS = 100  # of an image and class, as COCO has it


def coco_map(
    truth: pd.DataFrame, predictions: pd.DataFrame, image_ids: list[str], classes: list[str]
) -> dict[str, float]:
    """Average precision at an overlap of 0.5, and its mean over 0.50, 0.55, ... 0.95; boxes are half-open.

    Args:
        truth: true boxes, columns of tables.BOXES.
        predictions: columns of tables.DETECTIONS, without rows of a negative class.
        image_ids: all images that are judged, those without boxes too; rows of other images are ignored.
        classes: the classes that are judged.

    Returns:
        map50, map50_95 and the same by class (`map50/<class>`). NaN for a class without true boxes; the
        means are over the classes that have some.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    images = {image_id: number for number, image_id in enumerate(image_ids, start=1)}
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    data = {
        "images": [{"id": number} for number in images.values()],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [
            {"id": number, "iscrowd": 0, **row} for number, row in enumerate(_rows(truth, images, numbers), start=1)
        ],
    }
    reference = COCO(data, print_function=_silent)
    found = _rows(predictions, images, numbers)
    for row, score in zip(found, _known(predictions, images, numbers)["score"].tolist(), strict=True):
        row["score"] = score
    judge = COCOeval_faster(reference, reference.loadRes(found), "bbox", print_function=_silent)
    judge.params.maxDets = [MAX_DETECTIONS]
    judge.evaluate()
    judge.accumulate()
    precision = np.asarray(judge.eval["precision"])[..., 0, 0]  # (overlaps, recalls, classes)
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


def _known(table: pd.DataFrame, images: dict[str, int], classes: dict[str, int]) -> pd.DataFrame:
    return table[table["image_id"].isin(images) & table["label"].isin(classes)]


def _rows(table: pd.DataFrame, images: dict[str, int], classes: dict[str, int]) -> list[dict[str, Any]]:
    """Annotations as COCO writes them: numbered image and class, box as x, y, width, height."""
    known = _known(table, images, classes)
    boxes = known[BOX].to_numpy(np.float64, copy=True)
    boxes[:, 2:] -= boxes[:, :2]
    columns = (known["image_id"], known["label"], boxes.tolist(), np.prod(boxes[:, 2:], axis=1).tolist())
    return [
        {"image_id": images[image_id], "category_id": classes[label], "bbox": box, "area": area}
        for image_id, label, box, area in zip(*columns, strict=True)
    ]


def _silent(*_: object) -> None:
    """The library prints its progress by this."""
