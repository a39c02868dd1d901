"""One cell that holds a box, several, or none; and which heading says what."""

import math

import pytest

from tropho.data.formats.box_columns import parse_cell, parse_row, recognise
from tropho.errors import DataError, UsageError
from tropho.tables import parse_number


@pytest.mark.parametrize(
    ("cell", "boxes"),
    [
        ("WBC 0.5 1 2 3 4", [("corners", (1, 2, 3, 4), "WBC")]),
        ("WBC 1 1 2 3 4 RBC 0 5 6 7 8", [("corners", (1, 2, 3, 4), "WBC"), ("corners", (5, 6, 7, 8), "RBC")]),
        ("0.5 1 2 3 4", [("xywh", (1, 2, 3, 4), "")]),
        ("1 1 2 3 4 0 5 6 7 8", [("xywh", (1, 2, 3, 4), ""), ("xywh", (5, 6, 7, 8), "")]),
        ("WBC 1 2 3 4", [("list", (1, 2, 3, 4), "WBC")]),
        ("7 1 2 3 4 1.01 5 6 7 8", [("list", (1, 2, 3, 4), "7"), ("list", (5, 6, 7, 8), "1.01")]),
        ("WBC 1 2 3 4 0.5 5 6 7 8", [("list", (1, 2, 3, 4), "WBC"), ("list", (5, 6, 7, 8), "0.5")]),
        ("1,2,3,4;5,6,7,8", [("list", (1, 2, 3, 4), ""), ("list", (5, 6, 7, 8), "")]),
        ("[[1, 2, 3, 4], []]", [("list", (1, 2, 3, 4), "")]),
        ('{"x1": 1, "y1": 2, "x2": 3, "y2": 4, "class": "WBC"}', [("corners", (1, 2, 3, 4), "WBC")]),
        ('{"cx": 1, "cy": 2, "w": 3, "h": 4}', [("cxcywh", (1, 2, 3, 4), "")]),
        ("(1.5,2,3,4)", [("list", (1.5, 2, 3, 4), "")]),
        ("[ 1.  2. 30. 40.]", [("list", (1, 2, 30, 40), "")]),
        ("{'xmin': 1, 'ymin': 2, 'xmax': 3, 'ymax': 4}", [("corners", (1, 2, 3, 4), "")]),
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", [("list", (1, 2, 3, 4), ""), ("list", (5, 6, 7, 8), "")]),
        ("[{'x': 1, 'y': 2, 'w': 3, 'h': 4, 'label': 'a'}]", [("xywh", (1, 2, 3, 4), "a")]),
        ("No_Box", []),
        (" [ ] ", []),
    ],
)
def test_parse_cell_forms(cell, boxes):
    assert [(box.form, box.values, box.label) for box in parse_cell(cell)] == boxes


@pytest.mark.parametrize(("form", "told"), [("", "list"), ("xyxy", "corners"), ("xywh", "xywh"), ("cxcywh", "cxcywh")])
def test_parse_cell_takes_form_of_heading(form, told):
    assert parse_cell("[1, 2, 3, 4]", form)[0].form == told


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("WBC 5 1 2 3 4", "which is not four numbers"),
        ("[1, 2", "which is not four numbers"),
        ("{'name': 'point', 'cx': 1}", "which is no box"),
        ("WBC x 1 2 3 4", "which is not four numbers"),
        ("WBC 0.5 1 2 x 4", "which is not four numbers"),
        ("WBC 1 2 x 4", "which is not four numbers"),
        ("[1, 2, 3]", "which is not four numbers"),
        ("[[1, 2]]", "which is not four numbers"),
        ("[[1, 2], [3, 4]]", "which is not four numbers"),  # points
        ("[[10, 10], [20, 10], [20, 20], [10, 20]]", "which is not four numbers"),
        ("[10, 10, 20, 10, 20, 20, 10, 20]", "which is not four numbers"),  # an outline, not two boxes
        ("10 10 20 10 20 20 10 20", "which is not four numbers"),
        ("[1, 2, 3, x]", "which is not four numbers"),
        ("{'x1': 1, 'y1': 2", "which is no box"),
        ('{"x1": 1, "y1": 2, "x2": 3, "y2": null}', "in which a number is missing"),
        ('{"x1": 1, "y1": 2}', "which is no box"),
        ('{"x1": 1, "y1": 2, "x2": 3, "y2": 4, "x3": 5, "y3": 6, "x4": 7, "y4": 8}', "which is no box"),
    ],
)
def test_parse_cell_names_reason(cell, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        parse_cell(cell)


def columns(header: str, **given: str):
    return recognise(header.split(","), given, "t.csv")


def test_parse_row_layouts():
    sides = columns("image,xmin,ymin,xmax,ymax")
    assert parse_row(["a", "", "", "", ""], sides, False) == []
    assert parse_row(["a"], columns("image,label"), False) == []
    with pytest.raises(ValueError, match="The cell xmax is empty"):
        parse_row(["a", "1", "2", "", "4"], sides, False)
    with pytest.raises(ValueError, match="The cell ymin holds '2,5', not a number"):
        parse_row(["a", "1", "2,5", "3", "4"], sides, False)
    assert parse_row(["a", "1", "2,5", "3", "4"], sides, True)[0].values == (1, 2.5, 3, 4)


@pytest.mark.parametrize(("length", "shown"), [(40, "x" * 40), (41, f"{'x' * 40}...")])
def test_parse_row_shortens_cell_in_message(length, shown):
    with pytest.raises(ValueError, match=f"The cell bbox holds '{shown}', which"):
        parse_row(["a", "x" * length], columns("image,bbox"), False)


@pytest.mark.parametrize(
    ("header", "images", "labels"),
    [
        ("filename,name,x1,y1,x2,y2", [0], [1]),
        ("name,x1,y1,x2,y2", [0], []),
        ("filename,image_id,name,x1,y1,x2,y2", [0, 1], [2]),
        ("filename,image_id,class,x1,y1,x2,y2", [0, 1], [2]),
        ("filename,name,class,x1,y1,x2,y2", [0, 1], [2, 1]),
        ("x1,y1,x2,y2,class,label,id", [6], [4, 5]),
        ("class,Class.,id", [2], [0]),
    ],
)
def test_recognise_image_and_label(header, images, labels):
    found = columns(header)
    assert (found.images, found.labels) == (images, labels)


@pytest.mark.parametrize(
    ("header", "given", "layout", "at"),
    [
        ("id,a,b,c,d", {"xmin": "a", "ymin": "b", "xmax": "c", "ymax": "d"}, "corners", [1, 2, 3, 4]),
        ("id,a,ymin,xmax,ymax", {"image": "id", "xmin": "a"}, "corners", [1, 2, 3, 4]),
        ("id,xmin,ymin,xmax,ymax,w,h,mx,my", {"xcenter": "mx", "ycenter": "my"}, "cxcywh", [7, 8, 5, 6]),
        ("id,a", {"bbox_cxcywh": "a"}, "cell", [1]),
        ("id,xmin_px,ymin_px,xmax_px,ymax_px", {}, "corners", [1, 2, 3, 4]),
        ("id,box_x1,box_y1,box_x2,box_y2", {}, "corners", [1, 2, 3, 4]),
        ("id,width,height,x,y,bbox_width,bbox_height", {}, "xywh", [3, 4, 5, 6]),
        ("id,x,y,w", {}, "", []),
    ],
)
def test_recognise_box(header, given, layout, at):
    found = columns(header, **given)
    assert found.layout == layout
    assert [found.at[role] for role in list(found.at)[: len(at)]] == at


@pytest.mark.parametrize(
    ("header", "form"), [("id,bbox_xywh", "xywh"), ("id,xyxy", "xyxy"), ("id,bbox", ""), ("id,x1,y1,x2,y2", "")]
)
def test_recognise_form_of_cell(header, form):
    assert columns(header).cell_form == form
    assert columns("id,a", bbox_cxcywh="a").cell_form == "cxcywh"


@pytest.mark.parametrize(
    ("header", "size", "maybe"),
    [
        ("id,width,height,x1,y1,x2,y2", (1, 2), True),
        ("id,image_width,image_height,x1,y1,x2,y2", (1, 2), False),
        ("id,width,height", (None, None), False),
        ("id,width,x1,y1,x2,y2", (None, None), False),
        ("id,x,y,width,height", (None, None), False),
    ],
)
def test_recognise_image_size(header, size, maybe):
    found = columns(header)
    assert (found.at.get("image_width"), found.at.get("image_height")) == size
    assert bool(found.maybe_image_size) == maybe


def test_recognise_given_columns():
    found = columns("id,part,a,b,x1,y1,x2,y2,what", subset="part", image_width="a", image_height="b", label="what")
    assert (found.at["subset"], found.at["image_width"], found.at["image_height"], found.labels) == (1, 2, 3, [8])
    assert columns("id,split,x1,y1,x2,y2").at["subset"] == 1
    assert recognise(["id"], {"label": "gone"}, "t", strict=False).labels == []
    with pytest.raises(UsageError, match=r"audit\.columns\.label: t has no heading 'gone'"):
        recognise(["id"], {"label": "gone"}, "t")
    with pytest.raises(DataError, match="'x1' and 'x 1' could both be xmin"):
        columns("id,x1,x 1,y1,x2,y2")


@pytest.mark.parametrize(
    ("cell", "comma", "value"),
    [
        ("1,5", True, 1.5),
        ("1,500,000", True, math.nan),
        ("1,5.0", True, math.nan),
        ("1,5", False, math.nan),
        ("-1e3", False, -1000),
        ("nan", False, math.nan),
        ("", False, math.nan),
    ],
)
def test_parse_number_decimal_comma(cell, comma, value):
    assert parse_number(cell, comma) == pytest.approx(value, nan_ok=True)
