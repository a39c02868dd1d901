"""Boxes written in any layout are read as the same boxes; cells, columns and units in detail."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tropho.data.formats import box_columns, readers
from tropho.data.formats.box_cells import parse_cell
from tropho.data.formats.box_units import find_list_form, find_unit, to_corners
from tropho.data.formats.csv_table import read_csv
from tropho.errors import DataError, UsageError
from tropho.tables import parse_number

Box = tuple[int, int, int, int]
WIDTH, HEIGHT = 64, 48
LAYOUTS: dict[str, Callable[[int, int, int, int], list[object]]] = {
    "xmin,ymin,xmax,ymax": lambda a, b, c, d: [a, b, c, d],
    "YMax,XMin,YMin,XMax": lambda a, b, c, d: [d, a, b, c],
    "x1,x2,y1,y2": lambda a, b, c, d: [a, c, b, d],
    "x0,y0,x1,y1": lambda a, b, c, d: [a, b, c, d],
    "bbox_left,bbox_top,bbox_right,bbox_bottom": lambda a, b, c, d: [a, b, c, d],
    "xmin,ymin,width,height": lambda a, b, c, d: [a, b, c - a, d - b],
    "bb x,bb y,bb w,bb h": lambda a, b, c, d: [a, b, c - a, d - b],
    "x_center,y_center,w,h": lambda a, b, c, d: [(a + c) / 2, (b + d) / 2, c - a, d - b],
    "bbox_xywh": lambda a, b, c, d: [f"[{a}, {b}, {c - a}, {d - b}]"],
    "bbox_xyxy": lambda a, b, c, d: [f"{a} {b} {c} {d}"],
    "bbox": lambda a, b, c, d: [f'{{"left": {a}, "top": {b}, "width": {c - a}, "height": {d - b}}}'],
}
sides = st.tuples(st.integers(0, WIDTH - 3), st.integers(0, HEIGHT - 3)).flatmap(
    lambda low: st.tuples(
        st.just(low[0]), st.just(low[1]), st.integers(low[0] + 2, WIDTH), st.integers(low[1] + 2, HEIGHT)
    )
)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(boxes=st.lists(sides, min_size=1, max_size=5, unique=True))
@hypothesis_settings(max_examples=15, deadline=None)
def test_read_keeps_boxes_in_any_layout(settings, tmp_path_factory, layout, boxes: list[Box]):
    raw = tmp_path_factory.mktemp("raw")
    cells = ([f"{place}.png", "WBC", *LAYOUTS[layout](*box)] for place, box in enumerate(boxes))
    lines = [f"image;class;{layout.replace(',', ';')}", *(";".join(map(str, row)) for row in cells)]
    quoted = [line.replace('"', "'") for line in lines]
    (raw / "t.csv").write_text("\n".join(quoted), encoding="utf-8")
    columns = {"x": "xmin", "y": "ymin"} if "xmin,ymin,w" in layout else {}
    columns |= {"x": "bb x", "y": "bb y"} if layout.startswith("bb x") else {}
    task = settings("smear_demo", **{"audit.columns": columns, "audit.classes": None})
    labels = readers.read(task, raw)
    found = [tuple(row) for row in labels.boxes[["xmin", "ymin", "xmax", "ymax"]].to_numpy()]
    assert found == boxes


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ("[1, 2, 3, 4]", (1, 2, 3, 4)),
        ("1 2 3 4", (1, 2, 3, 4)),
        ("(1.5,2,3,4)", (1.5, 2, 3, 4)),
        ("[ 1.  2. 30. 40.]", (1, 2, 30, 40)),
        ('{"x": 1, "y": 2, "width": 3, "height": 4}', (1, 2, 3, 4)),
        ("{'xmin': 1, 'ymin': 2, 'xmax': 3, 'ymax': 4}", (1, 2, 3, 4)),
    ],
)
def test_parse_cell_one_box(cell, values):
    (box,) = parse_cell(cell)
    assert box.values == values


def test_parse_cell_several_boxes():
    assert [box.values for box in parse_cell("[[1, 2, 3, 4], [5, 6, 7, 8]]")] == [(1, 2, 3, 4), (5, 6, 7, 8)]
    boxes = parse_cell(
        "[{'x': 1, 'y': 2, 'w': 3, 'h': 4, 'label': 'a'}, {'x': 1, 'y': 2, 'w': 3, 'h': 4, 'label': 'b'}]"
    )
    assert [(box.form, box.label) for box in boxes] == [("xywh", "a"), ("xywh", "b")]
    assert [box.values for box in parse_cell("1 2 3 4;5 6 7 8;")] == [(1, 2, 3, 4), (5, 6, 7, 8)]
    assert parse_cell("no_box") == []
    assert parse_cell("[]") == parse_cell("{}") == parse_cell("") == []


@pytest.mark.parametrize(
    "cell", ["1 2 3", "[1, 2, 3, x]", "[1, 2, nan, 4]", "{'name': 'point', 'cx': 1}", "[1, 2", "a"]
)
def test_parse_cell_refuses_no_box(cell):
    with pytest.raises(ValueError, match=r"^(which|in which)"):
        parse_cell(cell)


def test_find_unit_by_range():
    assert find_unit(np.array([[0.1, 0.2, 0.5, 1.0]]))[0] == "shares"
    assert find_unit(np.array([[0, 0, 1, 1], [3, 4, 50, 60]]))[0] == "pixels"
    with pytest.raises(DataError, match="one unit"):
        find_unit(np.array([[0.1, 0.2, 0.5, 1.0], [1, 2, 30, 40]]))


def test_find_list_form_by_image_size():
    sizes = np.full((2, 2), 100.0)
    assert find_list_form(np.array([[60.0, 60, 90, 90], [5, 5, 20, 20]]), sizes, "pixels") == "corners"
    assert find_list_form(np.array([[60.0, 60, 30, 30], [5, 5, 20, 20]]), sizes, "pixels") == "xywh"
    shares = np.array([[0.9, 0.5, 0.2, 0.9], [0.5, 0.5, 0.2, 0.2]])
    assert find_list_form(shares, np.ones((2, 2)), "shares") == "cxcywh"
    with pytest.raises(DataError, match="is unclear"):
        find_list_form(np.array([[10.0, 10, 20, 20]]), sizes[:1], "pixels")
    assert to_corners(np.array([[10.0, 20, 4, 6]]), "cxcywh").tolist() == [[8, 17, 12, 23]]


def test_recognise_headings():
    found = box_columns.recognise(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"], {}, "t")
    assert (found.layout, found.at["image_width"], found.at["image_height"]) == ("corners", 1, 2)
    found = box_columns.recognise(["id", "x", "y", "width", "height", "label"], {}, "t")
    assert (found.layout, found.at["width"], "image_width" in found.at) == ("xywh", 3, False)
    found = box_columns.recognise(["img", "w", "h", "bbox_x", "bbox_y", "bbox_w", "bbox_h"], {}, "t")
    assert (found.at["x"], found.at["width"]) == (3, 5)
    found = box_columns.recognise(["image_id", "xmin_px", "ymin_px", "xmax_px", "ymax_px"], {}, "t")
    assert found.layout == "corners"
    with pytest.raises(UsageError, match="did you mean 'scan'"):
        box_columns.recognise(["scan"], {"image": "skan"}, "t")


def test_parse_number_and_read_csv(tmp_path):
    assert (parse_number("1e2"), parse_number("12,5", True)) == (100, 12.5)
    assert all(math.isnan(parse_number(text)) for text in ("12,5", "1_000", "inf"))
    (tmp_path / "a.csv").write_text('sep=;\na;b\n1,5;"x;y"\n\n2;z\n')
    assert read_csv(tmp_path / "a.csv", "a.csv").rows == [(2, ["a", "b"]), (3, ["1,5", "x;y"]), (5, ["2", "z"])]
