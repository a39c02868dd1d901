"""What the audit's figures show: bars, bins, sizes and words of the figure itself."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tropho.data.audit import audit_figures as figures
from tropho.data.audit.slides import DistanceThreshold, Slides
from tropho.errors import DataError


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Function (draw, arguments) -> the figure that would have been saved."""
    kept: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, to: kept.append(figure))

    def draw(function, *arguments) -> Figure:
        function(*arguments, tmp_path / "x.png")
        return kept.pop()

    return draw


class Pictures:
    """Stands for an ImageReader: each picture is 100 wide, 50 high and black."""

    def read(self, path: str) -> np.ndarray:
        if path == "torn":
            raise DataError("torn")
        return np.zeros((50, 100, 3), np.uint8)


def bars(axes) -> list[tuple[float, float, float]]:
    return [tuple(np.round((each.get_y(), each.get_height(), each.get_width()), 6)) for each in axes.patches]


def counted(test_labelled: bool = True, boxes: int = 5) -> dict:
    classes = {"a": {"boxes": 3, "images": 2}, "b": {"boxes": 2, "images": 1}}
    subsets = {name: {"classes": classes} for name in ("train", "test")}
    return {"classes": ["a", "b"], "boxes": boxes, "subsets": subsets, "test_labelled": test_labelled}


def test_class_counts(shown):
    figure = shown(figures.class_counts, counted())
    (axes,) = figure.axes
    assert bars(axes) == [(-0.4, 0.4, 3), (0.6, 0.4, 2), (0.0, 0.4, 3), (1.0, 0.4, 2)]
    assert tuple(figure.get_size_inches()) == pytest.approx((6.4, 1.6 + 0.45 * 4))
    assert axes.get_title(loc="left") == "Boxes of each class"
    assert axes.get_legend() is not None
    (axes,) = shown(figures.class_counts, counted(test_labelled=False, boxes=0)).axes
    assert bars(axes) == [(-0.4, 0.8, 2), (0.6, 0.8, 1)]
    assert (axes.get_title(loc="left"), axes.get_legend()) == ("Images of each class", None)


def test_image_sizes(shown):
    images = pd.DataFrame({"subset": ["train"] * 3 + ["test"] * 2, "width": [10, 10, 20, 10, None], "height": 40})
    (axes,) = shown(figures.image_sizes, images).axes
    assert axes.collections[0].get_sizes().tolist() == [12 + 400 * 2 / 4, 12 + 400 / 4]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, pytest.approx(22)), (0, pytest.approx(44)))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train (3)", "test (1)"]


def test_box_sizes(shown):
    boxes = pd.DataFrame(
        {"label": ["a", "a", "b"], "xmin": [1, 0, 5], "ymin": [2, 0, 5], "xmax": [5, 4, 15], "ymax": [11, 1, 15]}
    )
    (axes,) = shown(figures.box_sizes, boxes, ["a", "b", "c"]).axes  # sides 6, 2, 10
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a: 2, median 4 px", "b: 1, median 10 px"]
    assert len(axes.patches) == 80
    assert axes.patches[0].get_x() == pytest.approx(2)
    assert axes.patches[39].get_x() + axes.patches[39].get_width() == pytest.approx(10.1)
    assert [round(each.get_height()) for each in axes.patches if each.get_height()] == [1, 1, 1]


def test_objects_per_image(shown):
    images = pd.DataFrame({"image_id": list("abcd"), "subset": ["train"] * 3 + ["test"]})
    (axes,) = shown(figures.objects_per_image, images, pd.DataFrame({"image_id": list("aabbbb")})).axes
    assert [(each.get_x(), each.get_height()) for each in axes.patches] == [
        (-0.5, 1), (0.5, 0), (1.5, 1), (2.5, 0), (3.5, 1)
    ]  # fmt: skip
    assert axes.get_title(loc="left") == "Objects in an image\n1 image without boxes, median 2, at most 4"
    assert len(axes.texts) == 0  # nothing lies over the bars


def test_issue_counts(shown):
    issues = pd.DataFrame(
        {"kind": ["bad_row", "clipped", "bad_row"], "action": ["quarantined", "clipped", "quarantined"]}
    )
    figure = shown(figures.issue_counts, issues)
    assert [each.get_width() for each in figure.axes[0].patches] == [1, 2]
    assert figure.get_size_inches()[1] == pytest.approx(1.4 + 0.32 * 2)


@pytest.mark.parametrize(("sets", "across", "down"), [(1, 1, 1), (3, 3, 1), (4, 3, 2), (7, 3, 2)])
def test_duplicate_pairs(shown, sets, across, down):
    rows = []
    for number in range(sets):
        rows += [
            (f"{number}a", f"{number}a", "x"),
            (f"{number}b", f"{number}a", "x"),
            (f"{number}c", f"{number}a", "y"),
        ]
    rows += [("lonely", "gone", "z"), ("single", None, "z")]
    images = pd.DataFrame(rows, columns=["image_id", "duplicate", "sha256"]).assign(subset="train")
    images["path"] = images["image_id"]
    figure = shown(figures.duplicate_pairs, images, Pictures())
    assert len(figure.axes) == min(sets, 6)
    assert tuple(figure.get_size_inches()) == pytest.approx((4.2 * across, 2.7 * down))
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.images]
    assert titles == [f"train: {number}a\ntrain: {number}c" for number in range(min(sets, 6))]  # of unequal bytes
    assert figure.axes[0].images[0].get_array().shape == (220, 440, 3)


def test_tile_letterboxes_an_image():
    tile = figures._tile(Pictures(), "a")
    rows, columns = np.nonzero((tile == 0).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (56, 163, 2, 217)
    assert (figures._tile(Pictures(), "torn") == 255).all()


def slides(groups: list[int], threshold: DistanceThreshold | None = None) -> Slides:
    names = [f"{number:02d}" for number in range(len(groups))]
    distances, null_distances = np.array([0.0, 1, 1, 4, 4, 4]), np.array([4.0, 4, 4])
    return Slides(names, np.array(groups), threshold=threshold, distances=distances, null_distances=null_distances)


def test_slide_distances(shown, tmp_path):
    figure = shown(figures.slide_distances, slides([0, 0], DistanceThreshold(2.0, 1.0, 0.0)))
    (axes,) = figure.axes
    for stairs, last in zip(axes.patches, (3 / 6, 1.0), strict=True):
        values, edges, _ = stairs.get_data()
        assert len(values) == 80
        assert (edges[0], edges[-1]) == (pytest.approx(1, rel=1e-3), pytest.approx(4))
        assert values[-1] == pytest.approx(last)
    assert axes.lines[0].get_xdata()[0] == 2.0
    figures.slide_distances(slides([0, 0]), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_slide_groups_from_the_largest_to_the_smallest(shown):
    groups = [0] + [1] * 2 + [2] * 10 + [3] * 3
    clustered = slides(groups)
    images = pd.DataFrame({"image_id": list(clustered.ids), "path": list(clustered.ids)})
    figure = shown(figures.slide_groups, clustered, images, Pictures())
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles == ["10 images: 03 ...", "3 images: 13 ...", "2 images: 01 ..."]
    assert sum(bool(axes.images) for axes in figure.axes) == 8 + 3 + 2
    assert tuple(figure.get_size_inches()) == pytest.approx((1.35 * 8, 1.5 * 3))
    many = slides([number // 2 for number in range(26)])
    images = pd.DataFrame({"image_id": list(many.ids), "path": list(many.ids)})
    titles = [axes.get_title(loc="left") for axes in shown(figures.slide_groups, many, images, Pictures()).axes]
    assert [title[10:12] for title in titles if title] == ["00", "04", "10", "14", "20", "24"]
