"""Box tables as people have them, through the stages that a user runs."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import Project

SIZES = {"a.png": (96, 64), "b c.png": (80, 60), "007.png": (64, 64), "d.png": (100, 50)}
BOXES = {  # d.png has no objects; boxes near every border, so that x, y can't be taken for a centre
    "a.png": [("WBC", 2, 10, 32, 30), ("Trophozoite", 60, 40, 96, 64)],
    "b c.png": [("WBC", 40, 1, 71, 20)],
    "007.png": [("Trophozoite", 1, 2, 21, 42), ("WBC", 30, 30, 63, 62)],
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with the images of SIZES."""
    folder = tmp_path / "mine"
    draw(folder / "images", SIZES)
    return folder


def draw(folder: Path, sizes: dict[str, tuple[int, int]], seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name, (width, height) in sizes.items():
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(folder / name)


def save(path: Path, header: str, rows: list[list[Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header.split(",")] if header else [])
        writer.writerows(rows)


def rows_of(make: Callable[..., list[Any]], empty: Callable[[str], list[Any]] | None = None) -> list[list[Any]]:
    """make(name, label, x1, y1, x2, y2, width, height) of every box, and empty(name) of the image without objects."""
    rows = [make(name, *box, *SIZES[name]) for name, boxes in BOXES.items() for box in boxes]
    return [*rows, empty("d.png")] if empty else rows


def audit(project: Project, raw: Path, code: int = 0, **settings: Any) -> str:
    """Run download and audit of the folder; the text that audit printed."""
    project.add(
        "t", "detection", model={"name": "fcos"}, download={"path": str(raw)}, audit={"format": "boxes_csv", **settings}
    )
    project.run("t", "download")
    return project.tropho("audit", "t", code=code).text


def boxes_of(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """Boxes by image as the audit has them, sorted as in BOXES."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for box in project.table("t", "boxes").itertuples():
        found.setdefault(box.image_id, []).append((box.label, box.xmin, box.ymin, box.xmax, box.ymax))
    return found


def summary(project: Project) -> dict[str, Any]:
    return json.loads((project.root / "data/audit/t/summary.json").read_text())


def statuses(project: Project) -> dict[str, str]:
    images = project.table("t", "images")
    return dict(zip(images["image_id"], images["status"], strict=True))


def via(name: str, label: str, x1: int, y1: int, x2: int, y2: int, *_: int) -> list[Any]:
    shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    return [name, 1, "{}", 1, 0, json.dumps(shape), json.dumps({"type": label})]


# name of the layout: (header, row of a box, row of an image without objects or None)
LAYOUTS = {
    "zindi": (
        "Image_ID,class,confidence,ymin,xmin,ymax,xmax",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, 1.0, y1, x1, y2, x2],
        lambda n: [n, *[""] * 6],
    ),
    "tensorflow": (
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        lambda n, c, x1, y1, x2, y2, w, h: [n, w, h, c, x1, y1, x2, y2],
        lambda n: [n, 100, 50, *[""] * 5],
    ),
    "keras_retinanet": (
        "",
        lambda n, c, x1, y1, x2, y2, w, h: [f"images/{n}", x1, y1, x2, y2, c],
        lambda n: [f"images/{n}", *[""] * 5],
    ),
    "makesense": (
        "",
        lambda n, c, x1, y1, x2, y2, w, h: [c, x1, y1, x2 - x1, y2 - y1, n, w, h],
        None,
    ),
    "open_images": (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded",
        lambda n, c, x1, y1, x2, y2, w, h: [n[:-4], "x", c, 1, x1 / w, x2 / w, y1 / h, y2 / h, 0],
        None,
    ),
    "vinbigdata": (
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
        lambda n, c, x1, y1, x2, y2, w, h: [n[:-4], c, 3, "R1", x1, y1, x2, y2],
        lambda n: [n[:-4], "No finding", 14, "R1", *[""] * 4],
    ),
    "global_wheat": (
        "image_id,width,height,bbox,class",
        lambda n, c, x1, y1, x2, y2, w, h: [n[:-4], w, h, f"[{x1}.0, {y1}.0, {x2 - x1}.0, {y2 - y1}.0]", c],
        lambda n: [n[:-4], 100, 50, "", ""],
    ),
    "corners_in_a_cell": (
        "image,label,bbox",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, f"{x1} {y1} {x2} {y2}"],
        lambda n: [n, "", ""],
    ),
    "shares_in_a_cell": (
        "image,label,bbox",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, f"{x1 / w},{y1 / h},{(x2 - x1) / w},{(y2 - y1) / h}"],
        lambda n: [n, "", "[]"],
    ),
    "json_in_a_cell": (
        "image,label,annotations",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, f"[{{'x':{x1},'y':{y1},'width':{x2 - x1},'height':{y2 - y1}}}]"],
        lambda n: [n, "", "[]"],
    ),
    "via": (
        "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes",
        via,
        lambda n: [n, 1, "{}", 0, 0, "{}", "{}"],
    ),
    "x_y_w_h": (
        "File Name,category,bbox_x,bbox_y,bbox_width,bbox_height,image_width,image_height",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2 - x1, y2 - y1, w, h],
        lambda n: [n, *[""] * 5, 100, 50],
    ),
    "left_top_width_height": (
        "name,object,left,top,width,height",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2 - x1, y2 - y1],
        None,
    ),
    "left_top_right_bottom": (
        "img,type,left,top,right,bottom",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2, y2],
        None,
    ),
    "corners_and_size_of_the_box": (
        "image,name,x1,y1,x2,y2,width,height",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2, y2, x2 - x1, y2 - y1],
        None,
    ),
    "centres_in_shares": (
        "path,label,x_center,y_center,width,height",
        lambda n, c, x1, y1, x2, y2, w, h: [
            f"C:\\data\\{n}", c, (x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h
        ],
        None,
    ),
    "centres_in_pixels": (
        "id,label,cx,cy,w,h,width,height",
        lambda n, c, x1, y1, x2, y2, w, h: [n[:-4], c, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, w, h],
        None,
    ),
    "four_corners": (
        "image,class,x1,y1,x2,y2,x3,y3,x4,y4",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2, y1, x2, y2, x1, y2],
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_boxes(project, raw, layout):
    header, make, empty = LAYOUTS[layout]
    save(raw / "labels.csv", header, rows_of(make, empty))
    text = audit(project, raw, negative="No finding" if layout == "vinbigdata" else None)
    found = boxes_of(project)
    assert [box[0] for boxes in found.values() for box in boxes] == [
        box[0] for boxes in BOXES.values() for box in boxes
    ]
    for boxes, right in zip(found.values(), BOXES.values(), strict=True):
        assert np.allclose([box[1:] for box in boxes], [box[1:] for box in right])
    assert sorted(statuses(project).values()) == (["ok"] * 4 if empty else ["ok"] * 3 + ["unlabelled"])
    assert project.table("t", "images")["status"].ne("missing").all()
    columns = summary(project)["columns"]["labels.csv"]
    assert {"image", "label", "boxes", "unit", "delimiter"} <= set(columns)
    assert columns["unit"] == ("shares" if "shares" in layout or layout == "open_images" else "pixels")
    assert "Columns of labels.csv" in text
