"""Time weighted box fusion against `ensemble-boxes` (pip install ensemble-boxes) on 10 models x 300 boxes.

    python benchmarks/fusion_speed.py

CPU time, the best of several runs of each, on three kinds of images: every model sees the same 300 objects, of one
or of two classes, and boxes that have nothing in common.
"""

import time
from collections.abc import Callable

import numpy as np
from ensemble_boxes import weighted_boxes_fusion

from tropho.boxes.box_fusion import fuse_boxes

MODELS, BOXES, RUNS = 10, 300, 9

Predictions = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def shared_objects(classes: int) -> Predictions:
    rng = np.random.default_rng(0)
    centre, size = rng.uniform(0.1, 0.9, (BOXES, 2)), rng.uniform(0.01, 0.05, (BOXES, 2))
    labels = rng.integers(0, classes, BOXES)
    return [
        predictions(
            rng, centre + rng.normal(0, 0.1, size.shape) * size, size * np.exp(rng.normal(0, 0.1, size.shape)), labels
        )
        for _ in range(MODELS)
    ]


def unrelated_boxes() -> Predictions:
    rng = np.random.default_rng(0)
    shape = (BOXES, 2)
    return [
        predictions(rng, rng.uniform(0.1, 0.9, shape), rng.uniform(0.01, 0.1, shape), rng.integers(0, 2, BOXES))
        for _ in range(MODELS)
    ]


def predictions(rng: np.random.Generator, centre: np.ndarray, size: np.ndarray, labels: np.ndarray) -> tuple:
    return np.hstack([centre - size / 2, centre + size / 2]), rng.uniform(0.01, 1, BOXES), labels


def our_fusion(boxes: list[np.ndarray], scores: list[np.ndarray], labels: list[np.ndarray]) -> tuple:
    model_of = np.repeat(np.arange(len(boxes)), [len(each) for each in boxes])
    joined = (np.concatenate(each) for each in (boxes, scores, labels))
    return fuse_boxes(*joined, model_of, np.ones(len(boxes)), 0.55, "avg")


def best_ms(functions: list[Callable[[], object]]) -> list[float]:
    """CPU time of each, the best run; they take turns, so that other work on the machine strikes them alike."""
    best = [float("inf")] * len(functions)
    for _ in range(RUNS):
        for place, function in enumerate(functions):
            start = time.process_time()
            function()
            best[place] = min(best[place], 1000 * (time.process_time() - start))
    return best


if __name__ == "__main__":
    scenes = {
        "300 objects, 1 class": shared_objects(1),
        "300 objects, 2 classes": shared_objects(2),
        "unrelated boxes": unrelated_boxes(),
    }
    print(f"{'image':24}{'ensemble-boxes':>16}{'tropho':>10}{'ratio':>8}")
    for name, models in scenes.items():
        columns = [list(each) for each in zip(*models, strict=True)]
        theirs, ours = best_ms(
            [
                lambda columns=columns: weighted_boxes_fusion(*columns, iou_thr=0.55),
                lambda columns=columns: our_fusion(*columns),
            ]
        )
        print(f"{name:24}{theirs:13.1f} ms{ours:7.1f} ms{theirs / ours:7.1f}x")
