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
    sections = {"model": {"name": "fcos"}, "download": {"path": str(raw)}}
    project.add("t", "detection", **sections)
    project.run("t", "download")
    project.add("t", "detection", audit={"format": "boxes_csv", **settings}, **sections)
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
    "sku110k": ("", lambda n, c, x1, y1, x2, y2, w, h: [n, x1, y1, x2, y2, c, w, h], None),
    "automl_in_shares": (
        "",
        lambda n, c, x1, y1, x2, y2, w, h: [
            "UNASSIGNED", f"gs://b/{n}", c, x1 / w, y1 / h, "", "", x2 / w, y2 / h, "", ""
        ],
        None,
    ),
    "polygons": (
        "id,image_id,geometry,class",
        lambda n, c, x1, y1, x2, y2, w, h: [1, n, f"[({x1}, {y1}), ({x2}, {y1}), ({x2}, {y2}), ({x1}, {y1})]", c],
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


def test_columns_that_are_not_recognised_are_mapped(project, raw):
    rows = rows_of(lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2, y2])
    save(raw / "labels.csv", "scan,finding,a,b,c,d", rows)
    refused = audit(project, raw, code=1)
    assert "no column 'xmin'" in refused or "no column 'Image_ID'" in refused
    assert "scan, finding, a, b, c, d" in refused
    assert "audit.columns" in refused
    mapped = {"image": "scan", "label": "finding", "xmin": "a", "ymin": "b", "xmax": "c", "ymax": "d"}
    audit(project, raw, columns=mapped)
    assert boxes_of(project) == BOXES
    assert summary(project)["columns"]["labels.csv"]["label"] == "finding"


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"imag": "scan"}, "did you mean 'image'"), ({"image": "skan"}, "did you mean 'scan'")],
)
def test_unknown_keys_and_headings_of_the_mapping_are_refused(project, raw, columns, words):
    save(raw / "labels.csv", "scan,label,x1,y1,x2,y2", [["a.png", "WBC", 1, 2, 3, 4]])
    assert words in audit(project, raw, code=2, columns=columns)


def test_a_mapping_has_no_meaning_for_formats_without_tables(project, raw):
    assert "no meaning" in audit(project, raw, code=2, format="voc", columns={"image": "scan"})


def test_a_class_in_a_column_that_is_not_recognised_is_not_lost(project, raw):
    rows = rows_of(lambda n, c, x1, y1, x2, y2, w, h: [n, c, x1, y1, x2, y2])
    save(raw / "labels.csv", "image,finding,x1,y1,x2,y2", rows)
    assert "{label: finding}" in audit(project, raw, code=2)
    text = audit(project, raw, classes=["cell"])
    assert "every box is called 'cell'" in text
    assert set(project.table("t", "boxes")["label"]) == {"cell"}


@pytest.mark.fault("a table with a repeated column", "refuses it and names both places")
def test_repeated_headings_are_refused_with_their_positions(project, raw):
    save(raw / "labels.csv", "image,class,x1,y1,x2,y2,class", [["a.png", "WBC", 1, 2, 3, 4, "x"]])
    assert "columns 2 and 7 are both called 'class'" in audit(project, raw, code=1)
    save(raw / "labels.csv", "image,class,x1,x-1,y1,x2,y2", [["a.png", "WBC", 1, 2, 3, 4, 5]])
    assert "'x1' and 'x-1' could both be xmin" in audit(project, raw, code=1)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_decimal_commas_are_read(project, raw, delimiter):
    rows = rows_of(lambda n, c, *box: [n, c, *(f"{value},0" for value in box[:4])])
    save(raw / "labels.csv", "image,class,x1,y1,x2,y2", rows, delimiter)
    audit(project, raw)
    assert boxes_of(project) == BOXES


@pytest.mark.fault("decimal commas in a table separated by commas", "says why nothing can be read")
def test_decimal_commas_between_commas_say_why_nothing_can_be_read(project, raw):
    (raw / "labels.csv").write_text("image,class,x1,y1,x2,y2\na.png,WBC,1,5,2,5,30,5,40,5\n")
    text = audit(project, raw, code=1)
    assert "None of the 1 rows" in text
    assert "separate the cells by ;" in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(project, raw, encoding):
    draw(raw / "images", {"Zélle.png": (64, 64)}, seed=1)
    (raw / "labels.csv").write_bytes("image,class,x1,y1,x2,y2\nZélle.png,Größe,1,2,30,40\n".encode(encoding))
    audit(project, raw)
    assert boxes_of(project) == {"Zélle.png": [("Größe", 1, 2, 30, 40)]}


def test_another_encoding_is_refused_with_the_line(project, raw):
    (raw / "labels.csv").write_bytes("image,class,x1,y1,x2,y2\na.png,Größe,1,2,30,40\n".encode("latin-1"))
    assert "not text in UTF-8 (line 2)" in audit(project, raw, code=1)


def test_text_ids_and_classes_stay_text(project, raw):
    names = {"007.png": "NA", "1e5.png": "TRUE", "NA.png": "007"}
    draw(raw / "images", dict.fromkeys(names, (64, 64)), seed=1)
    rows = [[name[:-4], label, 1, 2, 30, 40] for name, label in names.items()]
    save(raw / "labels.csv", "image_id,label,x1,y1,x2,y2", rows)
    audit(project, raw)
    text = (project.root / "data/audit/t/boxes.csv").read_text()
    assert [line.split(",")[:2] for line in text.splitlines()[1:]] == [[n[:-4], c] for n, c in names.items()]


def test_a_row_that_names_an_image_alone_means_an_empty_image(project, raw):
    header = "Image_ID,class,confidence,ymin,xmin,ymax,xmax"
    rows = [
        ["a.png", "WBC", 1, 10, 2, 30, 32],
        ["b c.png", *[""] * 6],
        ["a.png", *[""] * 6],
        ["d.png", "WBC", *[""] * 5],
    ]
    save(raw / "Train.csv", header, [*rows, ["007.png", *[""] * 6], ["007.png", "", 1, 1, 2, 30, 40]])
    audit(project, raw)
    assert statuses(project) == {"a.png": "ok", "b c.png": "ok", "d.png": "unlabelled", "007.png": "unlabelled"}
    issues = project.table("t", "issues")
    empty = issues[issues["kind"] == "empty_row"]
    assert list(empty["image_id"]) == ["a.png", "b c.png"]
    assert list(empty["action"]) == ["listed", "listed"]
    assert "kept" in empty["detail"].iloc[0]
    assert list(issues.loc[issues["kind"] == "bad_row", "row"]) == [7, 5]
    assert boxes_of(project) == {"a.png": [("WBC", 2, 10, 32, 30)]}


def test_a_class_that_never_has_a_box_is_told_with_the_setting(project, raw):
    rows = rows_of(lambda n, c, *box: [n, c, *box[:4]], lambda n: [n, "No finding", *[""] * 4])
    save(raw / "labels.csv", "image,class_name,x1,y1,x2,y2", rows)
    assert "set audit.negative" in audit(project, raw)


@pytest.mark.parametrize("tidy", [True, False])
def test_subsets_by_folder_or_by_column(project, raw, tidy):
    subsets = dict(zip(BOXES, ("train", "valid", "test"), strict=True))
    (raw / "images").rename(raw / "all")
    make = rows_of(lambda n, c, *box: [n, c, *box[:4], subsets[n]])
    for name, subset in subsets.items():
        folder = raw / (subset if tidy else "images")
        folder.mkdir(exist_ok=True)
        (raw / "all" / name).rename(folder / name)
        if tidy:
            save(
                folder / "_annotations.csv", "filename,class,xmin,ymin,xmax,ymax", [r[:6] for r in make if r[0] == name]
            )
    if not tidy:
        save(raw / "boxes.csv", "filename,class,xmin,ymin,xmax,ymax,split", make)
    audit(project, raw)
    images = project.table("t", "images").set_index("image_id")["subset"]
    assert images[list(BOXES)].to_dict() == {"a.png": "train", "b c.png": "validation", "007.png": "test"}
    assert boxes_of(project) == BOXES


def test_equal_names_in_the_folders_of_subsets_are_different_images(project, tmp_path):
    raw = tmp_path / "mine"
    for seed, subset in enumerate(("train", "test")):
        draw(raw / subset, {"0.png": (64, 64)}, seed)
        save(raw / subset / "_annotations.csv", "filename,class,x1,y1,x2,y2", [["0.png", "WBC", 1 + seed, 2, 30, 40]])
    audit(project, raw)
    assert boxes_of(project) == {"test/0.png": [("WBC", 2, 2, 30, 40)], "train/0.png": [("WBC", 1, 2, 30, 40)]}


def test_images_of_a_test_folder_without_a_table_are_the_test_set(project, raw):
    draw(raw / "test", {"t1.png": (64, 64), "t2.png": (64, 64)}, seed=5)
    save(
        raw / "train.csv", "image_id,x,y,w,h", rows_of(lambda n, c, x1, y1, x2, y2, w, h: [n, x1, y1, x2 - x1, y2 - y1])
    )
    save(raw / "sample_submission.csv", "image_id,PredictionString", [["t1", ""], ["t2", ""]])
    audit(project, raw)
    images = project.table("t", "images")
    assert list(images.loc[images["subset"] == "test", "image_id"]) == ["t1.png", "t2.png"]
    assert set(images.loc[images["subset"] == "test", "status"]) == {"ok"}


def test_boxes_that_could_be_meant_in_two_ways_are_refused(project, raw):
    save(raw / "labels.csv", "image,label,bbox", [["a.png", "WBC", "10 10 20 20"]])
    text = audit(project, raw, code=1)
    assert "can't be told" in text
    audit(project, raw, columns={"bbox_xywh": "bbox"})
    assert boxes_of(project) == {"a.png": [("WBC", 10, 10, 30, 30)]}
    audit(project, raw, columns={"bbox_xyxy": "bbox"})
    assert boxes_of(project) == {"a.png": [("WBC", 10, 10, 20, 20)]}
    save(raw / "labels.csv", "image,label,x,y,width,height", [["a.png", "WBC", 0.5, 0.5, 0.25, 0.25]])
    assert "{xcenter: x, ycenter: y}" in audit(project, raw, code=1)
    audit(project, raw, columns={"xcenter": "x", "ycenter": "y"})
    assert boxes_of(project) == {"a.png": [("WBC", 36, 24, 60, 40)]}


def test_shares_and_pixels_in_one_table_are_refused_and_a_stray_row_is_quarantined(project, raw):
    share = [["a.png", "WBC", 0.1, 0.1, 0.5, 0.5 + place / 100] for place in range(12)]
    save(raw / "labels.csv", "image,label,x1,y1,x2,y2", [*share, ["b c.png", "WBC", 10, 10, 40, 40]])
    audit(project, raw)
    assert statuses(project)["b c.png"] == "unlabelled"
    save(raw / "labels.csv", "image,label,x1,y1,x2,y2", [*share, *[["b c.png", "WBC", 10, 10, 40, 40]] * 5])
    assert "one unit" in audit(project, raw, code=1)


def test_a_table_goes_through_the_next_stages(project, raw):
    header, make, empty = LAYOUTS["tensorflow"]
    save(raw / "labels.csv", header, rows_of(make, empty))
    audit(project, raw)
    params = {
        "download": {"path": str(raw)},
        "audit": {"format": "boxes_csv"},
        "split": {"n_folds": 2, "test_fraction": 0.0},
    }
    project.add("t", "detection", model={"name": "fcos"}, augment={"image_size": 64}, **params)
    project.run("t", "audit", "split", "augment")
    assert (project.root / "data/augmented/t").is_dir()
