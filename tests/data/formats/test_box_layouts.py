"""Boxes written in any layout are read as the same boxes."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tropho.data.formats import readers
from tropho.data.formats.csv_table import read_csv
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


def test_parse_number_and_read_csv(tmp_path):
    assert (parse_number("1e2"), parse_number("12,5", True)) == (100, 12.5)
    assert all(math.isnan(parse_number(text)) for text in ("12,5", "1_000", "inf"))
    (tmp_path / "a.csv").write_text('sep=;\na;b\n1,5;"x;y"\n\n2;z\n')
    assert read_csv(tmp_path / "a.csv", "a.csv").rows == [(2, ["a", "b"]), (3, ["1,5", "x;y"]), (5, ["2", "z"])]
