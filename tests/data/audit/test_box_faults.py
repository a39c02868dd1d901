"""Boxes outside their image, or without area."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.data.audit.box_repairs import clip_boxes
from tropho.data.formats.labels import LABELLED_BOXES, IssueLog, table_of
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
def test_each_fault_has_its_kind_and_row(box, kind, left):
    log = IssueLog()
    kept = clip_boxes(table(box), SIZES, log)
    assert [tuple(values) for values in kept[BOX].to_numpy()] == ([left] if left else [])
    issues = log.table()
    assert (list(issues["kind"])[-1:] or [None]) == [kind]
    assert (issues["row"] == 2).all()
    assert (issues["file"] == "Train.csv").all()


def test_without_a_size_boxes_stay_as_they_are():
    log = IssueLog()
    kept = clip_boxes(table((-5, 10, 2000, 60), (1, 1, 1, 9), image_id="missing"), SIZES, log)
    assert kept[BOX].to_numpy().tolist() == [[-5, 10, 2000, 60]]
    assert list(log.table()["kind"]) == ["zero_area"]


corner = st.floats(-50, 150, allow_nan=False)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(corner, corner, corner, corner), max_size=20))
def test_what_is_kept_lies_inside_and_nothing_is_lost_silently(boxes):
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
