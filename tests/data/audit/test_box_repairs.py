"""Boxes that are clipped, dropped, or merged."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.boxes.box_ops import pair_iou
from tropho.data.audit.box_repairs import clip_boxes, clip_corners, resolve_duplicate_boxes
from tropho.data.formats.label_collector import LABELLED_BOXES, IssueLog, table_of
from tropho.tables import BOX

SIZES = pd.DataFrame(
    {"width": pd.array([100, pd.NA], dtype="Int64"), "height": pd.array([50, pd.NA], dtype="Int64")},
    index=pd.Index(["sized", "missing"], name="image_id"),
)


def table(*boxes: tuple, image_id: str = "sized", label: str = "WBC") -> pd.DataFrame:
    rows = [
        {
            "image_id": image_id,
            "label": label,
            "file": "Train.csv",
            "row": row,
            **dict(zip(BOX, box, strict=True)),
        }
        for row, box in enumerate(boxes, start=2)
    ]
    return table_of(rows, LABELLED_BOXES)


@pytest.mark.parametrize(
    ("box", "kind", "left"),
    [
        ((10, 10, 20, 20), None, (10, 10, 20, 20)),
        ((0, 0, 100, 50), None, (0, 0, 100, 50)),
        ((-5, 10, 20, 60), "clipped", (0, 10, 20, 50)),
        ((10, 10, 20, 10), "zero_area", None),
        ((10, 10, 10, 20), "zero_area", None),
        ((100, 10, 120, 20), "outside", None),
        ((-9, -9, 0, 20), "outside", None),
        ((10, 10, 10.5, 20), "too_small", None),
        ((99.5, 10, 120, 20), "too_small", None),
    ],
)
def test_clip_boxes_lists_kind_and_row(box, kind, left):
    log = IssueLog()
    kept = clip_boxes(table(box), SIZES, log)
    assert [tuple(values) for values in kept[BOX].to_numpy()] == ([left] if left else [])
    issues = log.table()
    assert (list(issues["kind"])[-1:] or [None]) == [kind]
    assert (issues["row"] == 2).all()
    assert (issues["file"] == "Train.csv").all()


def test_clip_boxes_keeps_boxes_of_unknown_size():
    log = IssueLog()
    kept = clip_boxes(table((-5, 10, 2000, 60), (1, 1, 1, 9), image_id="missing"), SIZES, log)
    assert kept[BOX].to_numpy().tolist() == [[-5, 10, 2000, 60]]
    assert list(log.table()["kind"]) == ["zero_area"]


corner = st.floats(-50, 150, allow_nan=False)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(corner, corner, corner, corner), max_size=20))
def test_clip_boxes_keeps_inside_and_lists_the_rest(boxes):
    log = IssueLog()
    kept = clip_boxes(table(*boxes), SIZES, log)
    assert (kept[["xmin", "ymin"]] >= 0).all(axis=None)
    assert (kept["xmax"] <= 100).all()
    assert (kept["ymax"] <= 50).all()
    assert (kept["xmax"] - kept["xmin"] >= 1).all()
    assert (kept["ymax"] - kept["ymin"] >= 1).all()
    dropped = set(range(2, 2 + len(boxes))) - set(kept["row"])
    issues = log.table()
    assert dropped == set(issues.loc[issues["action"] == "dropped", "row"])
    again = IssueLog()
    assert clip_boxes(kept, SIZES, again)[BOX].equals(kept[BOX])
    assert again.rows == []


@pytest.mark.parametrize(
    ("box", "kinds"),
    [
        ((0, 0, 1, 5), []),
        ((0, 0, 5, 1), []),
        ((0, 0, 5, 0.9), ["too_small"]),
        ((5, 0, 5, 5), ["zero_area"]),
        ((6, 0, 5, 5), ["zero_area"]),
        ((10, 0, 12, 5), ["outside"]),
        ((0, 8, 5, 12), ["outside"]),
        ((-5, 0, 0, 5), ["outside"]),
        ((0, -5, 5, 0), ["outside"]),
        ((9, 0, 12, 5), ["clipped"]),
    ],
)
def test_clip_boxes_at_the_edges_of_an_image(box, kinds):
    log = IssueLog()
    row = {"image_id": "a", "label": "x", "file": "t", "row": 2, **dict(zip(BOX, box, strict=True))}
    sizes = pd.DataFrame({"width": [10], "height": [8]}, index=["a"])
    clip_boxes(table_of([row], LABELLED_BOXES), sizes, log)
    assert [each["kind"] for each in log.rows] == kinds


def test_clip_corners_keeps_boxes_of_unknown_size():
    cut = clip_corners(np.array([[-1, -1, 9, 9], [-1, -1, 9, 9]], float), np.array([[4, 6], [np.inf, np.inf]]))
    assert cut.tolist() == [[0, 0, 4, 6], [-1, -1, 9, 9]]


def boxes_of(*boxes: tuple, image_id: str = "a", label: str = "WBC") -> pd.DataFrame:
    rows = [
        {"image_id": image_id, "label": label, "file": "Train.csv", "row": row, **dict(zip(BOX, box, strict=True))}
        for row, box in enumerate(boxes, start=2)
    ]
    return table_of(rows, LABELLED_BOXES)


def test_resolve_duplicate_boxes_lists_same_class_pairs():
    boxes = pd.concat(
        [
            boxes_of((0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9), (50, 0, 60, 10)),
            boxes_of((0, 0, 10, 10), label="Trophozoite"),
            boxes_of((0, 0, 10, 10), image_id="b"),
        ],
        ignore_index=True,
    )
    log = IssueLog()
    # IoU of rows (2, 3) is exactly 0.5 and counts; (2, 4) is 0.49; (3, 4) is 0.98.
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=False, log=log)
    assert counts == (2, 1)
    assert kept.equals(boxes)
    issues = log.table()
    assert list(issues["row"]) == [3, 4]
    assert "row 2 (IoU 0.50)" in issues["detail"].iloc[0]
    assert list(issues["action"].unique()) == ["listed"]


def test_resolve_duplicate_boxes_merges_into_the_mean():
    boxes = boxes_of((0, 0, 10, 10), (50, 50, 60, 60), (2, 0, 10, 8))
    log = IssueLog()
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert kept[BOX].to_numpy().tolist() == [[1, 0, 10, 9], [50, 50, 60, 60]]
    assert list(kept["row"]) == [2, 3]
    assert counts == (1, 1)
    assert list(log.table()["action"]) == ["merged"]


def test_resolve_duplicate_boxes_keeps_chains_apart():
    """Each overlaps the next by 0.6, the first and the last by 1/3: the best pair is one, the third stays."""
    boxes = boxes_of((0, 0, 10, 10), (2.5, 0, 12.5, 10), (5, 0, 15, 10))
    log = IssueLog()
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert counts == (2, 1)
    assert len(kept) == 2
    assert sorted(log.table()["action"]) == ["listed", "merged"]


def test_resolve_duplicate_boxes_of_no_boxes():
    assert resolve_duplicate_boxes(boxes_of(), 0.5, merge=True, log=IssueLog())[1] == (0, 0)


near = st.tuples(st.floats(0, 40), st.floats(0, 40), st.floats(4, 20), st.floats(4, 20))


@settings(deadline=None, max_examples=40)
@given(st.lists(near, min_size=1, max_size=12))
def test_resolve_duplicate_boxes_leaves_one_box_an_object(rectangles):
    boxes = boxes_of(*((x, y, x + w, y + h) for x, y, w, h in rectangles))
    log = IssueLog()
    kept, (pairs, _) = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert len(log.rows) == pairs
    assert (len(kept) < len(boxes)) == (pairs > 0)
    corners = boxes[BOX].to_numpy()
    alone = np.array([(pair_iou(corners, np.tile(own, (len(corners), 1))) >= 0.5).sum() == 1 for own in corners])
    assert set(boxes.loc[alone, "row"]) <= set(kept["row"])
    assert np.isin(kept.loc[kept["row"].isin(boxes.loc[alone, "row"]), BOX], boxes[BOX]).all()
    assert (kept[BOX].min() >= boxes[BOX].min() - 1e-9).all()
    assert (kept[BOX].max() <= boxes[BOX].max() + 1e-9).all()


def test_resolve_duplicate_boxes_skips_ignored_regions():
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 9)).assign(ignore=[False, True, False])
    log = IssueLog()
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert counts == (1, 1)
    assert kept[BOX].to_numpy().tolist() == [[0, 0, 10, 9.5], [0, 0, 10, 10]]
    assert list(kept["ignore"]) == [False, True]
