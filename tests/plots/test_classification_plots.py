"""Tests of the plots of class predictions."""

import numpy as np
import pandas as pd
import pytest

from tropho.images.decode import ImageReader
from tropho.metrics.curves import classification_curves
from tropho.plots.classification_plots import classification_figures, per_class, reliability, roc
from tropho.plots.panels import f_over_threshold, marked_threshold

CHARTS = {"confusion", "roc", "precision_recall", "reliability", "f_threshold", "scores", "per_class"}


def draw(data, folder, truth=None, predictions=None, classes=None, **more):
    truth = data.images if truth is None else truth
    predictions = data.predictions if predictions is None else predictions
    classification_figures(truth, predictions, classes or data.classes, ImageReader(data.raw), folder, 1.0, 6, **more)
    return {path.stem for path in folder.glob("*.png")}


def test_classification_figures_draws_all(cells, tmp_path):
    names = draw(cells, tmp_path / "figures", thresholds={"Parasitized": {"threshold": 0.3}})
    assert names == CHARTS | {"gallery_wrong", "gallery_right"}


def test_classification_figures_without_labels_draws_gallery_only(cells, tmp_path):
    unknown = cells.images.assign(label=pd.Series(pd.NA, index=cells.images.index, dtype="string"))
    assert draw(cells, tmp_path / "figures", truth=unknown) == {"gallery"}


def test_classification_figures_without_images_draws_nothing(cells, tmp_path):
    assert draw(cells, tmp_path / "figures", cells.images.iloc[:0], cells.predictions.iloc[:0]) == set()


def test_classification_figures_with_unreadable_image_and_odd_class_names(cells, tmp_path):
    names = ["<b>$\\frac{$", "_hidden", "a" * 200]
    for path in (cells.raw / "images").iterdir():
        path.unlink()
    predictions = cells.predictions.assign(**{f"p_{name}": 0.0 for name in names})
    found = draw(cells, tmp_path / "figures", cells.images.iloc[:1], predictions, [*cells.classes, *names])
    assert found == CHARTS


def test_roc_legend_gives_area_or_undefined():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0]])
    curves = classification_curves(np.array([0, 0, 1]), probabilities, ["a", "b", "c"])
    labels = [text.get_text() for text in roc(curves).legends[0].get_texts()]
    assert labels == ["a: AUC 1.000", "b: AUC 1.000", "c: undefined"]


def test_reliability_puts_confidence_one_into_last_bin():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.45, 0.55]])
    axes = reliability(np.array([0, 1, 1]), {"as predicted": probabilities}).axes[0]
    points = np.array([line for line in axes.lines if len(line.get_xdata()) == 2][-1].get_xydata())
    assert points == pytest.approx(np.array([[0.55, 1.0], [1.0, 0.5]]))


def test_per_class_distinguishes_undefined_from_zero():
    counts = np.array([[3, 1, 0], [4, 0, 0], [0, 0, 0]])
    labels = [text.get_text() for text in per_class(counts, ["a", "b", "c"]).axes[0].texts]
    assert labels == ["0.43", "0.00", "undef.", "0.75", "0.00", "undef.", "0.55", "0.00", "undef."]


def test_f_over_threshold_marks_given_threshold():
    curves = classification_curves(np.array([0, 0, 1, 1]), np.array([[0.9], [0.6], [0.5], [0.1]]), ["a"])
    marked = f_over_threshold(curves, {"a": {"threshold": 0.55}}, 1.0, "threshold")
    assert marked.legends[0].get_texts()[0].get_text() == "a: 1.000 at 0.55"
    high = f_over_threshold(curves, {"a": {"threshold": 0.95}}, 1.0, "threshold")
    assert high.legends[0].get_texts()[0].get_text() == "a: 0.000 at 0.95"


@pytest.mark.parametrize("thresholds", [None, {}, {"a": {"threshold": None}}])
def test_a_class_without_a_threshold_has_its_best(thresholds):
    curve = classification_curves(np.array([0, 1]), np.array([[0.75, 0.25], [0.5, 0.5]]), ["a", "b"])["a"]
    assert marked_threshold(thresholds, "a", curve, 1.0) == (0.75, False)
    assert marked_threshold({"a": {"threshold": 0.5}}, "a", curve, 1.0) == (0.5, True)
