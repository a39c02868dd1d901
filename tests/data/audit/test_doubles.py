"""Objects marked twice: listed, and merged on request."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.boxes.iou_pairs import pair_iou
from tropho.data.audit.box_repairs import resolve_duplicate_boxes
from tropho.data.formats.labels import LABELLED_BOXES, IssueLog, table_of
from tropho.tables import BOX


def table(*boxes: tuple, image_id: str = "a", label: str = "WBC") -> pd.DataFrame:
    rows = [
        {"image_id": image_id, "label": label, "file": "Train.csv", "row": row, **dict(zip(BOX, box, strict=True))}
        for row, box in enumerate(boxes, start=2)
    ]
    return table_of(rows, LABELLED_BOXES)


def test_doubles_are_same_class_pairs_of_one_image():
    boxes = pd.concat(
        [
            table((0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9), (50, 0, 60, 10)),
            table((0, 0, 10, 10), label="Trophozoite"),
            table((0, 0, 10, 10), image_id="b"),
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


def test_the_mean_takes_the_place_of_a_double():
    boxes = table((0, 0, 10, 10), (50, 50, 60, 60), (2, 0, 10, 8))
    log = IssueLog()
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert kept[BOX].to_numpy().tolist() == [[1, 0, 10, 9], [50, 50, 60, 60]]
    assert list(kept["row"]) == [2, 3]
    assert counts == (1, 1)
    assert list(log.table()["action"]) == ["merged"]


def test_a_chain_of_neighbours_is_not_one_object():
    """Each overlaps the next by 0.6, the first and the last by 1/3: the best pair is one, the third stays."""
    boxes = table((0, 0, 10, 10), (2.5, 0, 12.5, 10), (5, 0, 15, 10))
    log = IssueLog()
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert counts == (2, 1)
    assert len(kept) == 2
    assert sorted(log.table()["action"]) == ["listed", "merged"]


def test_no_boxes_no_doubles():
    assert resolve_duplicate_boxes(table(), 0.5, merge=True, log=IssueLog())[1] == (0, 0)


near = st.tuples(st.floats(0, 40), st.floats(0, 40), st.floats(4, 20), st.floats(4, 20))


@settings(deadline=None, max_examples=40)
@given(st.lists(near, min_size=1, max_size=12))
def test_merging_leaves_one_box_for_each_object_within_its_boxes(found):
    boxes = table(*((x, y, x + w, y + h) for x, y, w, h in found))
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


def test_an_ignored_region_doubles_nothing():
    boxes = table((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 9)).assign(ignore=[False, True, False])
    log = IssueLog()
    kept, counts = resolve_duplicate_boxes(boxes, 0.5, merge=True, log=log)
    assert counts == (1, 1)
    assert kept[BOX].to_numpy().tolist() == [[0, 0, 10, 9.5], [0, 0, 10, 10]]
    assert list(kept["ignore"]) == [False, True]
