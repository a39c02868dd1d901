"""How far colour alone gets on the embedded data: `python benchmarks/colour_threshold.py`.

smear_demo: pixels that a stain makes darker than their surroundings are thresholded, joined into blobs, and
sorted into classes by size. Threshold, colour channel and ranking are chosen on the training photos by the
leaderboard's metric, sizes from the training boxes. cells_demo: of many colour statistics of a picture, the
one and the threshold that divide the training cells best. Both are then scored once on the test data.
"""

import itertools
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from tropho.config.load import load_task
from tropho.data.sources import fetch
from tropho.metrics.leaderboard_map import leaderboard_map
from tropho.paths import Paths
from tropho.submission.competition_csv import read_competition_csv

LONG_SIDE = 640  # pixels; photos are compared at one size
BOX = ["xmin", "ymin", "xmax", "ymax"]
# What each channel weighs of the density in red, green and blue.
CHANNELS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue stain": (0.8, 0.6, -0.4),
    "violet stain": (0.5, 0.9, -0.4),
}
THRESHOLDS = np.arange(0.08, 0.60, 0.06)
RANKINGS = ("darkest", "usual size", "roundest")


def flat_density(path: Path) -> tuple[np.ndarray, float]:
    """Density above the local ground (height, width, 3), 0 outside the field; original / shown pixels."""
    bgr = cv2.imread(str(path))
    zoom = max(bgr.shape[:2]) / LONG_SIDE
    bgr = cv2.resize(bgr, None, fx=1 / zoom, fy=1 / zoom, interpolation=cv2.INTER_AREA)
    light = bgr[..., ::-1].astype(np.float32) + 1
    inside = (light.max(axis=2) > 60).astype(np.uint8)
    inside = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((31, 31), np.uint8))
    inside = cv2.erode(inside, np.ones((7, 7), np.uint8))
    weight = inside[..., None].astype(np.float32)
    ground = cv2.GaussianBlur(light * weight, (0, 0), 25) / (
        cv2.GaussianBlur(weight[..., 0], (0, 0), 25)[..., None] + 1e-3
    )
    return np.log10(np.maximum(ground, 1) / light) * weight, zoom


def blobs(density: np.ndarray, threshold: float, zoom: float) -> np.ndarray:
    """Connected dark pixels: rows of (xmin, ymin, xmax, ymax, mean density, share of the box filled)."""
    dark = (density > threshold).astype(np.uint8)
    dark = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    if count < 2:
        return np.zeros((0, 6))
    x, y, width, height, area = stats[1:].T
    sums = np.bincount(labels.ravel(), density.ravel(), minlength=count)[1:]
    edges = np.stack([x, y, x + width, y + height]) * zoom
    return np.vstack([edges, sums / area, area / (width * height)]).T


def detections(image_id: str, found: np.ndarray, sizes: dict[str, np.ndarray], zoom: float, ranking: str) -> list:
    """Rows (image_id, label, score, box) of an image, with the NEG row: the surer the fewer were found."""
    side = np.sqrt(np.prod(found[:, 2:4] - found[:, 0:2], axis=1)) / zoom
    rows = []
    for label, (least, usual, most) in sizes.items():
        chosen = (side >= least) & (side <= most)
        near = np.exp(-np.abs(np.log(side[chosen] / usual)) * 4)
        score = {
            "darkest": found[chosen, 4],
            "usual size": near,
            "roundest": near * (1 - np.abs(found[chosen, 5] - 0.7)),
        }[ranking]
        rows += [(image_id, label, float(min(1, one)), *box) for one, box in zip(score, found[chosen, :4], strict=True)]
    return [*rows, (image_id, "NEG", 1 / (1 + len(rows)), 0, 0, 0, 0)]


def sizes_of(truth: pd.DataFrame, widths: dict[str, float]) -> dict[str, np.ndarray]:
    """Least, usual and most side of a class in shown pixels: 3rd, 50th and 97th percentile in training."""
    boxed = truth[truth["label"] != "NEG"]
    side = np.sqrt((boxed["xmax"] - boxed["xmin"]) * (boxed["ymax"] - boxed["ymin"]))
    side /= boxed["image_id"].map(widths)
    return {label: np.percentile(group, (3, 50, 97)) for label, group in side.groupby(boxed["label"])}


def found_in(photos: dict, channel: str, threshold: float) -> dict:
    """The blobs of every photo, with its zoom."""
    weights = np.array(CHANNELS[channel], np.float32)
    return {name: (blobs(density @ weights, threshold, zoom), zoom) for name, (density, zoom) in photos.items()}


def score(truth: pd.DataFrame, found: dict, sizes: dict, ranking: str) -> dict:
    rows = []
    for image_id, (blobs_of_image, zoom) in found.items():
        rows += detections(image_id, blobs_of_image, sizes, zoom, ranking)
    return leaderboard_map(truth, pd.DataFrame(rows, columns=["image_id", "label", "score", *BOX]))


def smear(root: Path) -> dict:
    settings = load_task("smear_demo")
    raw = root / "data" / "raw" / settings.name
    fetch(settings, raw, root)
    train = read_competition_csv(raw / "Train.csv")
    test = read_competition_csv(Paths(root, settings.name).held_out)

    def photos(truth: pd.DataFrame) -> dict:
        return {name: flat_density(raw / "images" / name) for name in sorted(truth["image_id"].unique())}

    shown = photos(train)
    sizes = sizes_of(train, {name: zoom for name, (_, zoom) in shown.items()})
    best: dict = {"train": {"score": -1.0}}
    for channel, threshold in itertools.product(CHANNELS, THRESHOLDS):
        found = found_in(shown, channel, threshold)
        for ranking in RANKINGS:
            result = score(train, found, sizes, ranking)
            if result["score"] > best["train"]["score"]:
                best = {"channel": channel, "threshold": threshold, "ranking": ranking, "train": result}
    found = found_in(photos(test), best["channel"], best["threshold"])
    return {**best, "test": score(test, found, sizes, best["ranking"])}


def colour_statistics(path: Path) -> dict[str, float]:
    """Mean, spread and tails of every colour channel, and the share of pixels darker than each threshold."""
    bgr = cv2.imread(str(path))
    channels = np.dstack([bgr, cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV), cv2.cvtColor(bgr, cv2.COLOR_BGR2LAB)])
    values = {}
    for name, plane in zip("BGRHSVLab", np.moveaxis(channels, 2, 0).astype(float), strict=True):
        values |= {f"mean {name}": plane.mean(), f"spread {name}": plane.std()}
        values |= {f"{share} % of {name}": np.percentile(plane, share) for share in (1, 5, 10, 90, 95, 99)}
    light = bgr[..., ::-1].astype(np.float32) + 1
    density = np.log10(np.median(light.reshape(-1, 3), axis=0) / light)
    for name, weights in CHANNELS.items():
        plane = density @ np.array(weights, np.float32)
        values |= {f"{name} above {t:.2f}": (plane > t).mean() for t in THRESHOLDS}
    return values


def cells(root: Path) -> dict:
    settings = load_task("cells_demo")
    raw = root / "data" / "raw" / settings.name
    fetch(settings, raw, root)

    def table(subset: str) -> tuple[pd.DataFrame, np.ndarray]:
        paths = sorted((raw / subset).glob("*/*.png"))
        return pd.DataFrame([colour_statistics(path) for path in paths]), np.array(
            [path.parent.name == "Parasitized" for path in paths]
        )

    (train, truth), (test, test_truth) = table("train"), table("test")
    choices = []
    for name in train:
        for threshold in np.percentile(train[name], np.arange(1, 100)):
            accuracy = balanced_accuracy(train[name] > threshold, truth)
            choices += [(accuracy, name, threshold, True), (1 - accuracy, name, threshold, False)]
    accuracy, name, threshold, above = max(choices)
    return {
        "statistic": name,
        "threshold": round(float(threshold), 4),
        "train": accuracy,
        "test": balanced_accuracy((test[name] > threshold) == above, test_truth),
    }


def balanced_accuracy(predicted: pd.Series | np.ndarray, truth: np.ndarray) -> float:
    predicted = np.asarray(predicted)
    return float((predicted[truth].mean() + (~predicted[~truth]).mean()) / 2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"smear_demo": smear(Path(folder)), "cells_demo": cells(Path(folder))}, indent=2))
