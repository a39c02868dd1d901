"""Tables of boxes as competitions and tools write them give the same boxes."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tropho.data.formats import readers
from tropho.data.formats.label_collector import Labels
from tropho.errors import DataError, UsageError

SIZES = {"a.png": (96, 64), "b c.png": (80, 60), "007.png": (64, 64), "d.png": (100, 50)}
BOXES = {  # d.png has no objects; boxes near every border, so that x, y can't be taken for a centre
    "a.png": [("WBC", 2, 10, 32, 30), ("Trophozoite", 60, 40, 96, 64)],
    "b c.png": [("WBC", 40, 1, 71, 20)],
    "007.png": [("Trophozoite", 1, 2, 21, 42), ("WBC", 30, 30, 63, 62)],
}


@pytest.fixture
def read(settings, tmp_path):
    """Function (audit's settings) -> labels of labels.csv and the images of SIZES."""

    def make(**audit: Any) -> Labels:
        audit = {"format": "boxes_csv", "classes": None, "negative": None, **audit}
        return readers.read(settings("smear_demo", **{f"audit.{key}": value for key, value in audit.items()}), tmp_path)

    for name, size in SIZES.items():
        draw(tmp_path / "images" / name, size)
    return make


def draw(path: Path, size: tuple[int, int] = (64, 64)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(path)


def save(folder: Path, header: str, rows: list[list[Any]], delimiter: str = ",") -> None:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header.split(",")] if header else [])
        writer.writerows(rows)


def rows_of(make: Callable[..., list[Any]], empty: Callable[[str], list[Any]] | None = None) -> list[list[Any]]:
    """make(name, label, x1, y1, x2, y2, width, height) of every box, and empty(name) of the image without objects."""
    rows = [make(name, *box, *SIZES[name]) for name, boxes in BOXES.items() for box in boxes]
    return [*rows, empty("d.png")] if empty else rows


def boxes_of(labels: Labels) -> dict[str, list[tuple[Any, ...]]]:
    boxes: dict[str, list[tuple[Any, ...]]] = {}
    for box in labels.boxes.itertuples():
        boxes.setdefault(Path(box.image_id).name, []).append((box.label, box.xmin, box.ymin, box.xmax, box.ymax))
    return boxes


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
    "centres_as_shares_in_a_cell": (
        "image,label,bbox",
        lambda n, c, x1, y1, x2, y2, w, h: [
            n, c, f"{(x1 + x2) / 2 / w} {(y1 + y2) / 2 / h} {(x2 - x1) / w} {(y2 - y1) / h}"
        ],
        None,
    ),
    "json_in_a_cell": (
        "image,label,annotations",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, f"[{{'x':{x1},'y':{y1},'width':{x2 - x1},'height':{y2 - y1}}}]"],
        lambda n: [n, "", "[]"],
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
    "german_traffic_signs": (
        "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId".replace(";", ","),
        lambda n, c, x1, y1, x2, y2, w, h: [n, w, h, x1, y1, x2, y2, c],
        None,
    ),
    "nih_chest": (
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2 - x1, y2 - y1, "", "", ""],
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_read_gives_equal_boxes_for_any_layout(read, tmp_path, layout):
    header, make, empty = LAYOUTS[layout]
    save(tmp_path, header, rows_of(make, empty))
    labels = read(negative="No finding" if layout == "vinbigdata" else None)
    expected = [box for boxes in BOXES.values() for box in boxes]
    assert list(labels.boxes["label"]) == [box[0] for box in expected]
    corners = labels.boxes[["xmin", "ymin", "xmax", "ymax"]].to_numpy()
    assert np.allclose(corners, [box[1:] for box in expected])
    assert list(labels.images["status"]) == ["ok"] * (4 if empty else 3)
    columns = labels.columns["labels.csv"]
    assert {"image", "label", "boxes", "unit", "delimiter"} <= set(columns)
    assert columns["unit"] == ("shares" if "shares" in layout or layout == "open_images" else "pixels")
    assert "Columns of labels.csv" in labels.notes[0]


def test_read_asks_for_a_header(read, tmp_path):
    save(tmp_path, "", rows_of(lambda n, c, x1, y1, x2, y2, w, h: [n, x1, y1, x2, y2, c]))
    with pytest.raises(DataError, match=r"labels.csv has no header .* write one, such as image,class"):
        read()


def test_read_maps_columns_of_the_settings(read, tmp_path):
    save(tmp_path, "scan,finding,a,b,c,d", rows_of(lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2, y2]))
    with pytest.raises(DataError, match=r"headings are scan, finding, a, b, c, d.*audit.columns"):
        read()
    labels = read(columns={"image": "scan", "label": "finding", "xmin": "a", "ymin": "b", "xmax": "c", "ymax": "d"})
    assert boxes_of(labels) == BOXES
    assert labels.columns["labels.csv"]["label"] == "finding"


def test_read_refuses_columns_for_formats_without_tables(read):
    with pytest.raises(UsageError, match="no meaning"):
        read(format="voc", columns={"image": "scan"})


@pytest.mark.fault("a table with a repeated column", "refuses it and names both places")
def test_read_refuses_repeated_headings(read, tmp_path):
    save(tmp_path, "image,class,x1,y1,x2,y2,class", [["a.png", "WBC", 1, 2, 3, 4, "x"]])
    with pytest.raises(DataError, match="columns 2 and 7 are both called 'class'"):
        read()
    save(tmp_path, "image,class,x1,x-1,y1,x2,y2", [["a.png", "WBC", 1, 2, 3, 4, 5]])
    with pytest.raises(DataError, match="'x1' and 'x-1' could both be xmin"):
        read()


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_read_takes_other_delimiters_and_decimal_commas(read, tmp_path, delimiter):
    rows = rows_of(lambda n, c, *box: [n, c, *(f"{value},0" for value in box[:4])])
    save(tmp_path, "image,class,x1,y1,x2,y2", rows, delimiter)
    assert boxes_of(read()) == BOXES


@pytest.mark.fault("decimal commas in a table separated by commas", "says why nothing can be read")
def test_read_refuses_decimal_commas_between_commas(read, tmp_path):
    (tmp_path / "labels.csv").write_text("image,class,x1,y1,x2,y2\na.png,WBC,1,5,2,5,30,5,40,5\n")
    with pytest.raises(DataError, match=r"No training label could be read.* separate the cells by ;"):
        read()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_read_takes_encodings_with_a_mark(read, tmp_path, encoding):
    draw(tmp_path / "images/Zélle.png")
    (tmp_path / "labels.csv").write_bytes("image,class,x1,y1,x2,y2\nZélle.png,Größe,1,2,30,40\n".encode(encoding))
    assert boxes_of(read()) == {"Zélle.png": [("Größe", 1, 2, 30, 40)]}


def test_read_refuses_another_encoding_with_the_line(read, tmp_path):
    (tmp_path / "labels.csv").write_bytes("image,class,x1,y1,x2,y2\na.png,Größe,1,2,30,40\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"not text in UTF-8 \(line 2\)"):
        read()


def test_read_keeps_ids_and_classes_as_text(read, tmp_path):
    names = {"007": "NA", "1e5": "TRUE", "NA": "007"}
    for name in names:
        draw(tmp_path / f"images/{name}.png")
    save(tmp_path, "image_id,label,x1,y1,x2,y2", [[name, label, 1, 2, 30, 40] for name, label in names.items()])
    labels = read()
    assert dict(zip(labels.boxes["image_id"], labels.boxes["label"], strict=True)) == names
