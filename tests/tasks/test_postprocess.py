"""Tables of detections."""

import numpy as np
import pandas as pd
import pytest

from tasks.two_images import Sizes, output
from tropho.metrics.leaderboard_map import (
    rank_images,
    score_gain,
)
from tropho.tables import BOX
from tropho.tasks import build_task
from tropho.tasks.negative_rule import apply_negative
from tropho.tasks.postprocess import (
    drop_ignored_classes,
    grouped_median,
    shrink_sizes,
)


def postprocessed(settings, raw, negative="NEG", ignore_classes=None, params=None) -> pd.DataFrame:
    task = build_task(settings("smear_demo", **{"audit.negative": negative}), ["T", "W"])
    return task.postprocess(raw, params, ignore_classes)


COLUMNS = ["image_id", "label", "score", *BOX]


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


TWO = table(
    ("a", "T", 0.8, 0, 0, 9, 9),
    ("a", "W", 0.6, 20, 20, 29, 29),
    ("a", "NEG", 0.25, 0, 0, 0, 0),
    ("b", "T", 0.5, 0, 0, 9, 9),
    ("b", "NEG", 0.9, 0, 0, 0, 0),
)


def test_postprocess_scales_boxes_per_image(settings) -> None:
    scores = postprocessed(settings, TWO, "NEG")["score"].tolist()
    assert scores == pytest.approx([0.6, 0.45, 0.25, 0.05, 0.9], abs=1e-12)
    pd.testing.assert_frame_equal(postprocessed(settings, TWO, None), TWO)


def test_postprocess_drops_ignore_classes(settings) -> None:
    ignored = pd.Series(['["W", "T"]', pd.NA], index=["a", "b"], dtype="string")
    assert drop_ignored_classes(TWO, ignored)["image_id"].tolist() == ["a", "b", "b"]
    assert postprocessed(settings, TWO, "NEG", ignored)["label"].tolist() == ["NEG", "T", "NEG"]
    assert len(postprocessed(settings, TWO, None, pd.Series(['["W"]', pd.NA], index=["a", "b"], dtype="string"))) == 4


def scene(
    rng: np.random.Generator, images: int, informative: bool = True, per_group: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """True boxes with NEG rows, raw predictions, and groups.

    Half of the images are empty, and hold false boxes as confident as the true ones. P(NEG) tells which are empty, or
    is of no use.
    """
    truth, found = [], []
    for number in range(images):
        name, empty = f"i{number:03}", number % 2 == 0
        if empty:
            truth.append((name, "NEG", 0, 0, 0, 0))
        for place in range(3):
            box = (40 * place, 10, 40 * place + 20, 30)
            if not empty:
                truth.append((name, "T", *box))
            found.append((name, "T", rng.uniform(0.3, 0.9), *box))
        told = 0.5 + (0.05 if empty else -0.05) + rng.normal(0, 0.02) if informative else rng.uniform(0.2, 0.8)
        found.append((name, "NEG", float(np.clip(told, 0.01, 0.99)), 0, 0, 0, 0))
    groups = pd.Series({f"i{number:03}": f"g{number // per_group}" for number in range(images)})
    return pd.DataFrame(truth, columns=["image_id", "label", *BOX]), table(*found), groups


def test_score_gain_is_the_difference_of_scores(settings, rng: np.random.Generator) -> None:
    truth, predictions, groups = scene(rng, 30)
    boxes = truth[truth["label"] != "NEG"]
    tables = (predictions, postprocessed(settings, predictions, "NEG"))
    plain, finished = (rank_images(list(groups.index), boxes, each, "NEG") for each in tables)
    found = score_gain(finished, plain, groups)
    assert found["value"] == pytest.approx(finished.scores()["score"] - plain.scores()["score"], abs=1e-12)
    assert found["low"] <= found["value"] <= found["high"]
    same = score_gain(rank_images(list(groups.index), boxes, predictions, "NEG"), plain, groups)
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)


@pytest.fixture
def detection(settings):
    """Makes a detection task of two classes with changed settings."""
    return lambda **changes: build_task(settings("smear_demo", **changes), ["Trophozoite", "WBC"])


@pytest.mark.parametrize("box", [[10, 60, 20, 70], [110, 10, 120, 20], [-9, 10, 0, 20], [10, 10, 10, 20]])
def test_to_table_drops_empty_boxes(detection, box):
    table = detection().to_table([output([box, [10, 10, 20, 20]], [0.9, 0.8], [0, 1], 0.5)], ["a"], Sizes())
    assert table["label"].tolist() == ["WBC", "NEG"]


def test_to_submission_without_a_negative_class(detection):
    task = detection(**{"audit.negative": None})
    table = task.to_table([output([[10, 10, 20, 20], [50, 10, 60, 20]], [0.3, 0.8], [0, 1], 0.5)], ["b"], Sizes())
    assert task.to_submission(table, ["a", "b"])["score"].tolist() == pytest.approx([0.8, 0.3])
    assert len(task.to_submission(table, ["a"])) == 0
    assert len(task.to_table([], [], Sizes())) == 0


def test_apply_negative_decides_hard() -> None:
    """From the threshold on an image is negative and has no boxes; below it, boxes keep their scores."""
    rows = [("a", "T", 0.8, 0, 0, 9, 9), ("a", "NEG", 0.49, 0, 0, 0, 0)]
    rows += [("b", "T", 0.7, 0, 0, 9, 9), ("b", "NEG", 0.5, 0, 0, 0, 0)]
    decided = apply_negative(table(*rows), "NEG", 0.5)
    assert decided[["image_id", "label", "score"]].to_numpy().tolist() == [
        ["a", "T", 0.8],
        ["a", "NEG", 0.0],
        ["b", "NEG", 1.0],
    ]


def test_shrink_sizes_by_hand() -> None:
    """Widths 10, 20, 40 of equal scores: the median is 20; half of the way in logs is a mean of two factors."""
    boxes = table(
        ("a", "T", 0.5, 100.0, 100.0, 110.0, 120.0),
        ("a", "T", 0.5, 200.0, 100.0, 220.0, 120.0),
        ("a", "T", 0.5, 300.0, 100.0, 340.0, 120.0),
        ("a", "W", 0.5, 0.0, 0.0, 500.0, 500.0),
        ("b", "T", 0.5, 300.0, 100.0, 340.0, 120.0),
        ("a", "NEG", 0.5, 0.0, 0.0, 0.0, 0.0),
    )
    shrunk = shrink_sizes(boxes, {"T": 0.5})
    width = (shrunk["xmax"] - shrunk["xmin"]).to_numpy()
    np.testing.assert_allclose(width, [10 * 2**0.5, 20, 40 / 2**0.5, 500, 40, 0])
    np.testing.assert_allclose((shrunk["xmax"] + shrunk["xmin"])[:3], [210, 420, 640])
    pd.testing.assert_frame_equal(shrunk.drop(columns=["xmin", "xmax"]), boxes.drop(columns=["xmin", "xmax"]))
    whole = shrink_sizes(boxes, {"T": 1.0})
    np.testing.assert_allclose((whole["xmax"] - whole["xmin"])[:3], 20)
    pd.testing.assert_frame_equal(shrink_sizes(boxes, {"other": 1.0}), boxes)


def test_shrink_sizes_stays_within_the_outermost_sides() -> None:
    """A box at the border would grow beyond the image, which ends where the outermost box does."""
    boxes = table(("a", "T", 0.1, 0, 0, 4, 20), ("a", "T", 0.9, 50, 0, 70, 20), ("a", "T", 0.3, 98, 0, 100, 20))
    shrunk = shrink_sizes(boxes.astype(dict.fromkeys(BOX, float)), {"T": 1.0})
    np.testing.assert_allclose(shrunk[["xmin", "xmax"]], [[0, 12], [50, 70], [89, 100]])


def test_grouped_median_counts_weights(rng: np.random.Generator) -> None:
    values, weights = rng.normal(size=60), rng.integers(1, 5, 60).astype(float)
    group = np.sort(rng.integers(0, 5, 60))[rng.permutation(60)]
    group = np.unique(group, return_inverse=True)[1]
    expected = {g: np.sort(np.repeat(values[group == g], weights[group == g].astype(int))) for g in set(group)}
    found = grouped_median(values, weights, group)
    assert [float(each[(len(each) - 1) // 2]) for each in (expected[g] for g in group)] == found.tolist()
    assert grouped_median(np.array([1.0, 2.0]), np.zeros(2), np.zeros(2, np.int64)).tolist() == [1.0, 1.0]


def test_postprocess_merges_duplicates_of_a_class(settings) -> None:
    """The mean box by score with the highest score; the other class and the negative row stay."""
    rows = [("a", label, score, x, 0.0, x + 20, 20.0) for label in "TW" for score, x in ((0.6, 0.0), (0.2, 8.0))]
    merged = postprocessed(
        settings, table(*rows, ("a", "NEG", 0.0, 0, 0, 0, 0)), "NEG", params={"duplicate_iou": {"T": 0.4}}
    )
    assert merged["label"].tolist() == ["W", "T", "W", "NEG"]
    assert merged.iloc[1].tolist() == ["a", "T", 0.6, pytest.approx(2.0), 0.0, pytest.approx(22.0), 20.0]
    assert postprocessed(settings, table(*rows), None, params={"duplicate_iou": {}})["score"].tolist() == [
        0.6,
        0.6,
        0.2,
        0.2,
    ]
