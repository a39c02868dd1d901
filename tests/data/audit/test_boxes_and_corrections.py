"""Boxes, corrections and classes left out, at the edges of what counts."""

import numpy as np
import pandas as pd
import pytest

from tropho.data.audit.box_repairs import clip_boxes, clip_corners
from tropho.data.audit.corrections import Corrector
from tropho.data.audit.missing_labels import attributes, find_missing_labels
from tropho.data.formats.labels import LABELLED_BOXES, IssueLog, table_of
from tropho.tables import BOX


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
def test_boxes_at_the_edges_of_an_image(box, kinds):
    log = IssueLog()
    row = {"image_id": "a", "label": "x", "file": "t", "row": 2, **dict(zip(BOX, box, strict=True))}
    sizes = pd.DataFrame({"width": [10], "height": [8]}, index=["a"])
    clip_boxes(table_of([row], LABELLED_BOXES), sizes, log)
    assert [each["kind"] for each in log.rows] == kinds


def test_clip_corners_leaves_boxes_of_unknown_size():
    cut = clip_corners(np.array([[-1, -1, 9, 9], [-1, -1, 9, 9]], float), np.array([[4, 6], [np.inf, np.inf]]))
    assert cut.tolist() == [[0, 0, 4, 6], [-1, -1, 9, 9]]


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("a,drop,x,0,0,10,5,", True),  # an IoU of one half
        ("a,drop,x,0,0,10,4.9,", False),
        ("a,move,x,9.9,0,20,10,", True),
        ("a,move,x,10,0,20,10,", False),
        ("a,relabel,y,0,0,10,5,", True),
        ("a,add,x,1,2,3,2,", False),
        ("a,add,x,1,2,1,3,", False),
        ("a,set label,NEG,x,,,,", True),
        ("a,exclude image,what,,,,,", True),
        ("b,add,x,1,2,3,4,", True),
    ],
)
def test_corrections_at_the_edge_of_what_they_mean(tmp_path, line, done):
    path = tmp_path / "fix.csv"
    path.write_text(f"image_id,action,label,xmin,ymin,xmax,ymax,reason\n{line}\n")
    images = pd.DataFrame(
        {"image_id": ["a", "b"], "label": None, "status": ["ok", "missing"], "width": 50, "height": 50}
    )
    log = IssueLog()
    boxes = table_of([{"image_id": "a", "label": "x", **dict(zip(BOX, (0, 0, 10, 10), strict=True))}], LABELLED_BOXES)
    images, _ = Corrector(images, boxes, ["x", "y"], "NEG", True, "fix.csv", log).apply(path)
    assert [each["kind"] for each in log.rows] == ["correction" if done else "bad_correction"]
    assert images["status"].iloc[1] == "missing"


def test_sizes_with_their_long_side_first():
    images = pd.DataFrame({"width": [30, 40, 20, None], "height": [40, 30, 20, 9], "device": ["x", "", None, "y"]})
    images = images.astype({"width": "Int64", "height": "Int64", "device": "string"})
    stated = images.assign(stated_width=pd.array([1, 1, 1, 5], "Int64"), stated_height=pd.array([1, 1, 1, 7], "Int64"))
    assert attributes(stated)["size"].tolist() == ["40x30", "40x30", "20x20", "9x5"]
    assert attributes(images)["size"].isna().tolist() == [False, False, False, True]
    assert attributes(images)["device"].isna().tolist() == [False, True, True, False]


@pytest.mark.parametrize(("labelled", "found"), [(10, True), (11, False)])
def test_a_class_is_left_out_below_a_tenth_of_its_share_elsewhere(labelled, found):
    """All of 100 images elsewhere show it, and of 100 images here 10 or 11."""
    rows = [{"image_id": f"{n}", "subset": "train", "width": 10 + n // 100, "height": 5, "device": "", "group": f"{n}"}
            for n in range(200)]  # fmt: skip
    shows = [n < labelled or n >= 100 for n in range(200)]
    boxes = [(f"{n}", "other") for n in range(200)] + [(f"{n}", "x") for n in range(200) if shows[n]]
    images = pd.DataFrame(rows)
    told_of = find_missing_labels(images, pd.DataFrame(boxes, columns=["image_id", "label"]), ["x"], 0.01)
    assert [each["value"] for each in told_of] == (["10x5"] if found else [])
    test = images.assign(subset="test")
    assert find_missing_labels(test, pd.DataFrame(boxes, columns=["image_id", "label"]), ["x"], 0.01) == []
