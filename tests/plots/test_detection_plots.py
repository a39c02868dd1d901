"""Tests of the plots of detections."""

import numpy as np
import pandas as pd
from PIL import Image

from tropho.images.decode import ImageReader
from tropho.metrics.matching import match
from tropho.plots.detection_plots import counts, detection_figures, leaderboard_curves, recall_by_size
from tropho.tables import BOX

CHARTS = {"precision_recall", "f_confidence", "confusion", "recall_by_size", "counts", "negative"}


def draw(data, folder, **changes):
    given = {
        "truth_images": data.images,
        "truth_boxes": data.boxes,
        "predictions": data.predictions,
        "classes": data.classes,
        "negative": "NEG",
        "reader": ImageReader(data.raw),
        "folder": folder,
        "gallery": 6,
        **changes,
    }
    detection_figures(**given)
    return {path.stem for path in folder.glob("*.png")}


def test_detection_figures_draws_all(detections, tmp_path):
    thresholds = {"Trophozoite": {"threshold": 0.4}, "WBC": {"threshold": None}}
    names = draw(detections, tmp_path / "figures", thresholds=thresholds)
    assert names == CHARTS | {"gallery", "gallery_worst"}
    with Image.open(tmp_path / "figures" / "precision_recall.png") as image:
        assert image.width > 200


def test_detection_figures_without_truth_draws_gallery_only(detections, tmp_path):
    assert draw(detections, tmp_path / "figures", truth_boxes=detections.boxes.iloc[:0]) == {"gallery"}


def test_detection_figures_without_predictions_and_photos_draws_charts(detections, tmp_path):
    for path in (detections.raw / "images").iterdir():
        path.write_bytes(b"not an image")
    names = draw(detections, tmp_path / "figures", predictions=detections.predictions.iloc[:0])
    assert names == CHARTS - {"negative"}


def test_detection_figures_without_images_draws_nothing(detections, tmp_path):
    none = {
        "truth_images": detections.images.iloc[:0],
        "truth_boxes": detections.boxes.iloc[:0],
        "predictions": detections.predictions.iloc[:0],
    }
    assert draw(detections, tmp_path / "figures", **none) == set()


def test_detection_figures_with_one_image_and_odd_class_names(detections, tmp_path):
    names = ["<b>$\\frac{$", "_hidden", "a" * 200, "ligne\nbrisée"]
    first = detections.images["image_id"].iloc[0]
    one = {
        "truth_images": detections.images.iloc[:1],
        "truth_boxes": detections.boxes[detections.boxes["image_id"] == first],
        "predictions": detections.predictions[detections.predictions["image_id"] == first],
        "classes": [*detections.classes, *names],
    }
    assert draw(detections, tmp_path / "figures", **one) >= CHARTS


def test_leaderboard_curves_legend_gives_average_precision():
    images = pd.DataFrame({"image_id": ["a", "b"]})
    boxes = pd.DataFrame([("a", "WBC", 0.0, 0.0, 10.0, 10.0)], columns=["image_id", "label", *BOX])
    rows = [("a", "WBC", 0.9, 0, 0, 10, 10), ("b", "NEG", 0.2, 0, 0, 0, 0), ("a", "NEG", 0.7, 0, 0, 0, 0)]
    predictions = pd.DataFrame(rows, columns=["image_id", "label", "score", *BOX])
    figure = leaderboard_curves(images, boxes, predictions, ["WBC", "Trophozoite"], "NEG")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["WBC: AP 1.000", "Trophozoite: absent", "NEG: AP 0.500"]


def test_recall_by_size_counts_each_true_box_once():
    sides = np.array([4.0, 4.0, 20.0, 20.0])
    corner = np.arange(4) * 100.0
    sizes = {"xmin": corner, "ymin": 0 * corner, "xmax": corner + sides, "ymax": sides}
    truth = pd.DataFrame({"image_id": "a", "label": "WBC", **sizes})
    found = truth.iloc[2:].assign(score=0.9)  # the small ones are missed
    axes = recall_by_size(match(truth, found), ["WBC"], bins=2).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[0] == 0
    assert heights[-1] == 1
    assert sum(int(tick.get_text().split("(")[1][:-1]) for tick in axes.get_xticklabels()) == 4


def test_counts_title_gives_mean_error():
    images = pd.DataFrame({"image_id": ["a", "b"]})
    boxes = pd.DataFrame({"image_id": ["a", "a", "a"], "label": "WBC"})
    figure = counts(images, boxes, boxes.iloc[:1], ["WBC"])
    assert figure.axes[0].get_title(loc="left") == "WBC: mean error 1.0"
