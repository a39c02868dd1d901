"""Detections matched to true boxes, one to one."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.metrics.matching import match
from tropho.tables import BOX, BOXES, DETECTIONS, conform, empty


def boxes(*rows: tuple) -> pd.DataFrame:
    return conform(pd.DataFrame(rows, columns=[*BOXES][:-1]), BOXES)


def detections(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(DETECTIONS)).astype(DETECTIONS)


def test_the_surer_detection_has_the_first_choice():
    matches = match(
        boxes(("a", "X", 0, 0, 10, 10)),
        detections(("a", "X", 0.3, 0, 0, 10, 10), ("a", "X", 0.9, 0, 0, 10, 8)),
    )
    assert matches.detections["hit"].tolist() == [False, True]
    assert matches.truths["detection_row"].tolist() == [1]
    assert matches.detections["overlap"].tolist() == [0.0, 0.8]


def test_a_second_detection_takes_the_next_free_box():
    matches = match(
        boxes(("a", "X", 0, 0, 10, 10), ("a", "X", 2, 0, 12, 10)),
        detections(("a", "X", 0.9, 0, 0, 10, 10), ("a", "X", 0.8, 0, 0, 10, 10)),
    )
    assert matches.detections["truth_row"].tolist() == [0, 1]


def test_other_images_and_classes_never_match():
    matches = match(
        boxes(("a", "X", 0, 0, 10, 10)),
        detections(("b", "X", 0.9, 0, 0, 10, 10), ("a", "Y", 0.9, 0, 0, 10, 10)),
    )
    assert not matches.detections["hit"].any()
    assert not matches.truths["hit"].any()


def test_overlap_at_the_limit_is_a_hit_and_boxes_without_area_never_are():
    matches = match(
        boxes(("a", "X", 0, 0, 10, 10), ("a", "X", 50, 50, 50, 60)),
        detections(("a", "X", 0.9, 0, 0, 10, 5), ("a", "X", 0.9, 50, 50, 50, 60)),
        iou=0.5,
    )
    assert matches.detections["hit"].tolist() == [True, False]


def test_empty_tables():
    some = detections(("a", "X", 0.9, 0, 0, 10, 10))
    assert match(empty(BOXES), some).detections["hit"].tolist() == [False]
    assert match(boxes(("a", "X", 0, 0, 1, 1)), empty(DETECTIONS)).truths["hit"].tolist() == [False]
    assert len(match(empty(BOXES), empty(DETECTIONS)).detections) == 0


side = st.integers(0, 6)
corner = st.tuples(st.sampled_from("ab"), st.sampled_from("XY"), st.floats(0, 1), side, side)


@settings(max_examples=40, deadline=None)
@given(st.lists(corner, max_size=15), st.lists(corner, max_size=15))
def test_one_to_one_and_greedy(true, found):
    truth = boxes(*((image, label, x, y, x + 4, y + 4) for image, label, _, x, y in true))
    rows = ((image, label, score, x, y, x + 4, y + 4) for image, label, score, x, y in found)
    predictions = detections(*rows)
    matches = match(truth, predictions, iou=0.3)
    free = set(range(len(truth)))
    for row in np.argsort(-predictions["score"].to_numpy(), kind="stable"):
        mine = predictions.iloc[row]
        best = max(
            (
                (overlap(mine[BOX], truth.iloc[place][BOX]), -place)
                for place in free
                if tuple(truth.iloc[place][["image_id", "label"]]) == (mine["image_id"], mine["label"])
            ),
            default=(0.0, 0),
        )
        expected = -best[1] if best[0] >= 0.3 else -1
        assert matches.detections["truth_row"][row] == expected
        free -= {expected}
    assert set(np.flatnonzero(~matches.truths["hit"])) == free


def overlap(a: pd.Series, b: pd.Series) -> float:
    width = max(min(a.xmax, b.xmax) - max(a.xmin, b.xmin), 0)
    height = max(min(a.ymax, b.ymax) - max(a.ymin, b.ymin), 0)
    return width * height / (32 - width * height)
