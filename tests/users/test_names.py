"""Which files are read and what their labels mean, through the stages that a user runs."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

BOX = [8, 8, 20, 20]  # x, y, width, height
SETTINGS = {"format": "coco"}


def draw(path, seed=0, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).resize(size).save(path, {".jpe": "JPEG", ".j2k": "JPEG2000"}.get(path.suffix.lower()))


def coco(path, names, annotations=None, categories=("cell",)):
    path.parent.mkdir(parents=True, exist_ok=True)
    if annotations is None:
        annotations = [{"image_id": number, "bbox": BOX} for number in range(len(names))]
    content = {
        "images": [{"id": number, "file_name": name, "width": 64, "height": 48} for number, name in enumerate(names)],
        "annotations": [{"id": i, "category_id": 0, "iscrowd": 0, **each} for i, each in enumerate(annotations)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories)],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def audited(project, tmp_path):
    """Runs download and audit of a folder: audited(folder, kind, **audit) gives the audit's printed words."""

    def run(folder, kind="detection", **audit):
        model = {"name": "fcos" if kind == "detection" else "resnet"}
        project.add("t", kind, download={"source": "local", "path": str(folder)}, audit=audit, model=model)
        return project.run("t", "download", "audit").text

    return run


def summary(project, task="t"):
    return json.loads((project.root / "data" / "audit" / task / "summary.json").read_text())


def paths_of_boxes(project):
    images, boxes = project.table("t", "images"), project.table("t", "boxes")
    return sorted(boxes["image_id"].map(images.set_index("image_id")["path"]))


@pytest.mark.real
@pytest.mark.parametrize(("entry", "images"), [("entry", 12), ("entry_b", 16)])
def test_case_01_equal_names_in_two_folders(case, entry, images):
    project, task = case("01", entry)
    project.run(task, "download", "audit")
    boxes = project.table(task, "boxes")
    assert boxes["image_id"].nunique() == len(boxes) == images
    if entry == "entry":
        assert {image_id.split("/")[0] for image_id in boxes["image_id"]} == {"job1", "job2"}


@pytest.mark.real
def test_case_03_polygons_without_bbox(case):
    project, task = case("03")
    project.run(task, "download", "audit")
    images, boxes = project.table(task, "images"), project.table(task, "boxes")
    assert (images["status"] == "ok").all()
    assert set(images["image_id"]) - set(boxes["image_id"]) == {"nothing_17.png", "nothing_18.png"}
    assert set(boxes.loc[boxes["ignore"], "image_id"]) == {"crowd_15.png", "crowd_16.png"}
    assert (boxes["image_id"].value_counts() == 2).all()


@pytest.mark.real
@pytest.mark.parametrize("classes", [None, ["nok", "ok", "unsure"]])
def test_case_07_the_folder_below_test(case, classes):
    project, task = case("07", audit={"classes": classes})
    said = project.run(task, "download", "audit").text
    assert summary(project, task)["classes"] == ["nok", "ok", "unsure"]
    assert not summary(project, task)["test_labelled"]
    tests = project.table(task, "images").query("subset == 'test'")
    assert (len(tests), set(tests["status"])) == (8, {"ok"})
    assert "'unknown' is in the test set alone" in said


@pytest.mark.real
def test_case_04_a_single_coco_file_of_any_name_is_read(case):
    project, task = case("04")
    project.run(task, "download", "audit")
    assert len(project.table(task, "images")) == 12


def test_equal_names_of_two_jobs_and_two_subsets(audited, project, tmp_path):
    data = tmp_path / "mine"
    for job in ("a", "b"):
        coco(data / job / "annotations/instances_default.json", ["f 1.png", "F2.PNG"])
        draw(data / job / "images/f 1.png", 1 + ord(job))
        draw(data / job / "images/f2.png", 11 + ord(job))
    audited(data, **SETTINGS, train=[f"{job}/annotations/instances_default.json" for job in "ab"])
    assert paths_of_boxes(project) == ["a/images/f 1.png", "a/images/f2.png", "b/images/f 1.png", "b/images/f2.png"]


@pytest.mark.parametrize("places", [("train", "val"), ("images/train", "images/val"), ("train2017", "val2017")])
def test_equal_names_of_training_and_validation(audited, project, tmp_path, places):
    data = tmp_path / "mine"
    for place, subset in zip(places, ("train", "val"), strict=True):
        coco(data / f"annotations/instances_{subset}.json", ["0.png", "1.png"])
        draw(data / place / "0.png", hash(place) % 1000)
        draw(data / place / "1.png", hash(place) % 1000 + 1)
    audited(data, **SETTINGS)
    assert paths_of_boxes(project) == [f"{place}/{number}.png" for place in places for number in (0, 1)]
    assert set(project.table("t", "images")["subset"]) == {"train", "validation"}


def test_a_name_of_two_files_is_refused_and_both_are_named(audited, project, tmp_path):
    data = tmp_path / "mine"
    coco(data / "labels.json", ["twice.png", "once.png"])
    for number, name in enumerate(("a/twice.png", "b/twice.png", "b/once.png")):
        draw(data / name, number)
    said = audited(data, **SETTINGS)
    assert "a/twice.png or b/twice.png" in said
    assert paths_of_boxes(project) == ["b/once.png"]
    assert project.table("t", "images").set_index("path").loc["a/twice.png", "status"] == "unlabelled"


def test_two_names_of_one_file_are_refused(audited, project, tmp_path):
    data = tmp_path / "mine"
    coco(data / "labels.json", ["a.png", "A.PNG", "b.png"])
    for number, name in enumerate(("a.png", "b.png")):
        draw(data / name, number)
    said = audited(data, **SETTINGS)
    assert "'A.PNG' and 'a.png' both mean a.png" in said
    assert paths_of_boxes(project) == ["b.png"]


def test_an_image_that_one_job_lacks_is_not_the_other_jobs(audited, project, tmp_path):
    data = tmp_path / "mine"
    for job, last in (("a", 3), ("b", 2)):
        coco(data / job / "annotations/x.json", ["0.png", "1.png", "2.png"])
        for number in range(last):
            draw(data / job / f"images/{number}.png", number + 10 * ord(job))
    audited(data, **SETTINGS, train=["a/annotations/x.json", "b/annotations/x.json"])
    boxes = project.table("t", "boxes")
    usable = project.table("t", "images").query("status == 'ok'")
    assert (boxes[boxes["image_id"].isin(usable["image_id"])]["image_id"].value_counts() == 1).all()
    assert len(usable) == 5


def test_names_of_other_machines_in_every_list(audited, project, tmp_path):
    data = tmp_path / "mine"
    names = ["C:\\data\\img\\a b.png", "/home/x/img/c.v1.png", "file:///img/d%20e.png", "./img/ünï.PNG", "g"]
    coco(data / "one.json", names)
    for number, name in enumerate(("a b.png", "c.v1.png", "d e.png", "u\u0308ni\u0308.png", "g.jpeg")):
        draw(data / "img" / name, number)
    audited(data, **SETTINGS)
    assert len(paths_of_boxes(project)) == 5
    assert set(project.table("t", "images")["status"]) == {"ok"}


def test_ids_as_text_and_as_numbers(audited, project, tmp_path):
    data = tmp_path / "mine"
    annotations = [{"image_id": "0", "bbox": BOX, "category_id": "0"}, {"image_id": 1.0, "bbox": BOX}]
    coco(data / "x.json", ["a.png", "b.png"], annotations)
    for number, name in enumerate(("a.png", "b.png")):
        draw(data / name, number)
    audited(data, **SETTINGS)
    assert paths_of_boxes(project) == ["a.png", "b.png"]


def test_other_json_beside_the_labels_is_passed_over(audited, project, tmp_path):
    data = tmp_path / "mine"
    coco(data / "cells.json", ["a.png"])
    draw(data / "a.png")
    (data / "dataset-metadata.json").write_text('{"title": "cells", "licenses": []}')
    (data / "results.json").write_text("[]")
    (data / "note.json").write_text("{")
    said = audited(data, **SETTINGS)
    assert paths_of_boxes(project) == ["a.png"]
    assert "dataset-metadata.json" in said


def test_outlines_give_boxes_and_nothing_makes_an_image_empty(audited, project, tmp_path):
    data = tmp_path / "mine"
    corner = [[10, 10, 20, 10, 20, 30]]
    good = [
        {"bbox": [10, 10, 10, 20]},
        {"segmentation": corner},
        {"segmentation": corner, "bbox": []},
        {"segmentation": corner, "bbox": [float("nan")] * 4},
    ]
    annotations = [*good, {"bbox": "box"}, {"bbox": [10, 10, 10, 20], "category_id": 9}]
    names = [f"{number}.png" for number in range(len(annotations) + 1)]
    coco(data / "x.json", names, [{"image_id": number, **each} for number, each in enumerate(annotations)])
    for number, name in enumerate(names):
        draw(data / name, number)
    audited(data, **SETTINGS)
    status = project.table("t", "images").set_index("image_id")["status"]
    boxes = project.table("t", "boxes")
    assert list(status) == ["ok"] * 4 + ["unlabelled"] * 2 + ["ok"]
    assert list(boxes["image_id"]) == names[:4]
    assert boxes[["xmin", "ymin", "xmax", "ymax"]].drop_duplicates().to_numpy().tolist() == [[10, 10, 20, 30]]


def test_crowds_are_ignored_regions_and_no_objects(audited, project, tmp_path):
    data = tmp_path / "mine"
    crowd = {"bbox": [1, 1, 40, 40], "iscrowd": 1}
    annotations = [{"image_id": 0, "bbox": BOX}, {"image_id": 0, **crowd}, {"image_id": 1, **crowd}]
    coco(data / "x.json", ["a.png", "b.png", "c.png"], annotations)
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        draw(data / name, number)
    audited(data, **SETTINGS)
    boxes = project.table("t", "boxes")
    assert sorted(zip(boxes["image_id"], boxes["ignore"], strict=True)) == [
        ("a.png", False),
        ("a.png", True),
        ("b.png", True),
    ]
    found = summary(project)
    assert (found["boxes"], found["ignored_regions"], found["subsets"]["train"]["without_boxes"]) == (1, 2, 1)


def test_a_class_of_boxes_in_the_test_alone_is_no_class(audited, project, tmp_path):
    data = tmp_path / "mine"
    coco(data / "train.json", ["a.png"], categories=("cell", "mite"))
    tests = [{"image_id": 0, "bbox": BOX}, {"image_id": 0, "bbox": [1, 1, 5, 5], "category_id": 1}]
    coco(data / "test.json", ["t.png", "u.png"], [*tests, {**tests[1], "image_id": 1}], categories=("cell", "mite"))
    for number, name in enumerate(("a.png", "t.png", "u.png")):
        draw(data / name, number)
    said = audited(data, **SETTINGS)
    assert summary(project)["classes"] == ["cell"]
    assert "'mite' is in the test set alone" in said
    assert set(project.table("t", "boxes")["label"]) == {"cell"}
    assert set(project.table("t", "images")["status"]) == {"ok"}


@pytest.mark.parametrize("classes", [None, ["a", "b"]])
def test_a_label_of_the_test_table_alone_is_no_class(audited, project, tmp_path, classes):
    data = tmp_path / "mine"
    for number in range(6):
        draw(data / f"{number}.png", number)
    with (data / "labels.csv").open("w", newline="") as file:
        rows = [("0", "a", "train"), ("1", "b", "train"), ("2", "a", "train"), ("3", "b", "train")]
        csv.writer(file).writerows([("id", "label", "split"), *rows, ("4", "?", "test"), ("5", "a", "test")])
    audited(data, "classification", format="label_csv", classes=classes)
    images = project.table("t", "images").set_index("image_id")
    assert summary(project)["classes"] == ["a", "b"]
    assert set(images["status"]) == {"ok"}
    assert images["label"].isna().sum() == 1


def test_every_ending_is_read_and_the_rest_is_counted(audited, project, tmp_path):
    data = tmp_path / "mine"
    endings = (
        "png",
        "PNG",
        "jpe",
        "jfif",
        "JPG",
        "ppm",
        "pgm",
        "jp2",
        "j2k",
        "webp",
        "bmp",
        "dib",
        "TIF",
        "tiff",
        "gif",
    )
    for number, ending in enumerate(endings):
        draw(data / f"train/{'ab'[number % 2]}/{number}.{ending}", number)
    (data / "train/c").mkdir()
    (data / "train/c/scan.dcm").write_bytes(b"DICM")
    (data / "train/d").mkdir()
    (data / "train/d/broken.png").write_bytes(b"no image")
    draw(data / "train/a/x.png")
    (data / "train/a/x.png").rename(data / "train/a/scan0001")
    (data / "LICENSE").write_text("free")
    for litter in (".DS_Store", "Thumbs.db", "train/a/._0.png", "__MACOSX/train/a/0.png", ".ipynb_checkpoints/a.png"):
        (data / litter).parent.mkdir(parents=True, exist_ok=True)
        (data / litter).write_bytes(b"litter")
    said = audited(data, "classification")
    images = project.table("t", "images").set_index("path")["status"]
    assert len(images) == len(endings) + 1
    assert list(images[images != "ok"].index) == ["train/d/broken.png"]
    issues = project.table("t", "issues")
    assert set(issues["kind"]) == {"empty_class", "other_files", "unreadable"}
    assert set(issues.loc[issues["kind"] == "empty_class", "detail"].str.extract(r"(train/c|'d')")[0]) == {
        "train/c",
        "'d'",
    }
    assert summary(project)["other_files"] == {"none": 2, ".dcm": 1}
    assert "train/c/scan.dcm" in said
    assert any("such as train/a/scan0001;" in detail for detail in issues["detail"])


def voc(data, stem, filename=None, folder="Annotations"):
    box = "<xmin>8</xmin><ymin>8</ymin><xmax>28</xmax><ymax>28</ymax>"
    named = f"<filename>{filename}</filename>" if filename else ""
    (data / folder).mkdir(parents=True, exist_ok=True)
    text = f"<annotation>{named}<object><name>cell</name><bndbox>{box}</bndbox></object></annotation>"
    (data / folder / f"{stem}.xml").write_text(text)


def test_voc_names_with_spaces_flags_and_either_ending(audited, project, tmp_path):
    data = tmp_path / "mine"
    for number, name in enumerate(("a b.png", "c 1.png", "d.v2.jpg", "e.png", "e.jpg", "f.png")):
        draw(data / "JPEGImages" / name, number)
    for stem in ("a b", "c 1", "d.v2", "f"):
        voc(data, stem)
    voc(data, "e", "e.jpg")
    lists = data / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a b\nc 1\nD.V2\ne\n")
    (lists / "test.txt").write_text("f -1\n")
    audited(data, format="voc")
    images = project.table("t", "images").set_index("path")
    usable = images[images["status"] == "ok"]
    assert sorted(usable.index) == [
        f"JPEGImages/{name}" for name in ("a b.png", "c 1.png", "d.v2.jpg", "e.jpg", "f.png")
    ]
    assert usable.loc["JPEGImages/f.png", "subset"] == "test"
    assert len(paths_of_boxes(project)) == 5


def test_voc_folders_within_folders(audited, project, tmp_path):
    data = tmp_path / "mine"
    for number, folder in enumerate(("x", "y")):
        draw(data / "JPEGImages" / folder / "1.png", number)
        voc(data, "1", folder=f"Annotations/{folder}")
    audited(data, format="voc")
    assert paths_of_boxes(project) == ["JPEGImages/x/1.png", "JPEGImages/y/1.png"]


def test_settings_name_files_in_any_case_and_with_either_slash(audited, project, tmp_path):
    data = tmp_path / "mine"
    coco(data / "Labels/Cells A.json", ["a.png"])
    draw(data / "a.png")
    audited(data, **SETTINGS, train=["labels\\cells a.JSON"])
    assert paths_of_boxes(project) == ["a.png"]
