"""YOLO folders and KITTI's text files, through the stages that a user runs."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import Project

SIZE = (100, 80)
BOX = ("WBC", 10, 20, 50, 60)
ROW = "1 0.3 0.5 0.4 0.5"


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def audit(project: Project, raw: Path, form: str, code: int = 0, **settings: Any) -> str:
    project.add(
        "t", "detection", model={"name": "fcos"}, download={"path": str(raw)}, audit={"format": form, **settings}
    )
    project.run("t", "download")
    return project.tropho("audit", "t", code=code).text


def subsets(project: Project) -> dict[str, str]:
    images = project.table("t", "images")
    return {each.image_id: f"{each.subset} {each.status}" for each in images.itertuples()}


def boxes(project: Project) -> dict[str, tuple[Any, ...]]:
    return {b.image_id: (b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in project.table("t", "boxes").itertuples()}


def kinds(project: Project) -> dict[str, int]:
    return project.table("t", "issues")["kind"].value_counts().to_dict()


YAML = "names: [Trophozoite, WBC]\nnc: 2\n"
TRIO = ("train", "val", "test")


def listed(template: str) -> str:
    """data.yaml or a darknet file with the template filled in for each subset."""
    return "\n".join(template.format(subset) for subset in TRIO) + "\n"


def lists(template: str, prefix: str = "") -> dict[str, str]:
    """train.txt, val.txt and test.txt, each with the names of two images."""
    return {f"{prefix}{subset}.txt": "".join(f"{template}{subset}{n}.png\n" for n in (0, 1)) for subset in TRIO}


NAMES = "Trophozoite\nWBC\n"
DARKNET = {"obj.data": f"classes = 2\n{listed('{0} = data/{0}.txt')}names = data/obj.names\n", "data/obj.names": NAMES}
OTHER_MACHINE = {"d/data.yaml": f"path: /content/drive\n{listed('{0}: /x/{0}/images')}{YAML}"}
BY_NUMBER = {"data.yaml": listed("{0}: {0}") + "names: {0: Trophozoite, 1: WBC}\n"}
LAYOUTS: dict[str, tuple[str, str, dict[str, str]]] = {  # folders of a subset's images and labels; other files
    "ultralytics": ("images/{}", "labels/{}", {"x.yaml": f"path: ../datasets/x\n{listed('{0}: images/{0}')}{YAML}"}),
    "roboflow": ("{}/images", "{}/labels", {"data.yaml": listed("{0}: ../{0}/images") + YAML}),
    "other_machine": ("{}/images", "{}/labels", OTHER_MACHINE),
    "windows": ("{}/images", "{}/labels", {"data.yaml": listed("{0}: [C:\\d\\{0}\\images]") + YAML}),
    "names_by_number": ("{}/images", "{}/labels", BY_NUMBER),
    "no_yaml": ("{}/images", "{}/labels", {"classes.txt": NAMES}),
    "beside": ("data/{}", "data/{}", {"classes.names": NAMES}),
    "lists": ("img", "txt", {"data.yaml": listed("{0}: {0}.txt") + YAML, **lists("./img/")}),
    "lists_alone": ("img", "txt", {"classes.txt": NAMES, **lists("D:\\y\\img\\")}),
    "darknet": ("data/obj", "data/obj", {**DARKNET, **lists("data/obj/", "data/")}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_yolo_layouts(project, tmp_path, layout):
    images, labels, others = LAYOUTS[layout]
    raw = tmp_path / "mine"
    for place, subset in enumerate(("train", "val", "test")):
        for number in range(2):
            draw(raw / images.format(subset) / f"{subset}{number}.png", 2 * place + number)
        write(raw / labels.format(subset) / f"{subset}0.txt", f"{ROW}\n")
        write(raw / labels.format(subset) / f"{subset}1.txt", "")
    for name, text in others.items():
        write(raw / name, text)
    audit(project, raw, "yolo")
    assert subsets(project) == {
        f"{called}{number}.png": f"{subset} ok"
        for called, subset in (("train", "train"), ("val", "validation"), ("test", "test"))
        for number in range(2)
    }
    assert boxes(project) == {f"{subset}0.png": BOX for subset in ("train", "val", "test")}
    assert kinds(project) == {}


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Five training images, of which the last has no label file."""
    raw = tmp_path / "mine"
    for number in range(5):
        draw(raw / f"images/train/{number}.png", number)
        if number < 4:
            write(raw / f"labels/train/{number}.txt", f"{ROW}\n")
    write(raw / "data.yaml", f"train: images/train\nval: images/val\n{YAML}")
    return raw


def test_yolo_rows_of_every_kind(project, yolo):
    polygon = "1 0.1 0.25 0.5 0.25 0.5 0.75 0.3 0.75"
    write(yolo / "labels/train/0.txt", f"{ROW} 0.93\n")
    write(yolo / "labels/train/1.txt", f"{polygon}\n\n")
    write(
        yolo / "labels/train/2.txt",
        f"{ROW}\n7 0.5 0.5 0.1 0.1\n1 0.5 0.5 1.7 0.1\n1 0.5 0.5\nx 1 1 1 1\n0.5 0.5 0.5 0.1 0.1\n",
    )
    write(yolo / "labels/train/3.txt", "1 50 40 20 20\n")
    text = audit(project, yolo, "yolo")
    assert boxes(project) == dict.fromkeys(("0.png", "1.png", "2.png"), BOX)
    assert subsets(project) == {**{f"{n}.png": "train ok" for n in (0, 1, 2, 4)}, "3.png": "train unlabelled"}
    issues = project.table("t", "issues")
    assert list(issues.loc[issues["kind"] == "bad_row", "row"]) == [2, 3, 4, 5, 6, 1]
    assert list(issues.loc[issues["kind"] == "no_label_file", "image_id"]) == ["4.png"]
    assert list(issues.loc[issues["kind"] == "absent_folder", "file"]) == ["data.yaml"]
    assert "1 images have no label file" in text


def test_yolo_without_labels_or_with_pixels_stops_with_the_reason(project, yolo):
    for number in range(4):
        write(yolo / f"labels/train/{number}.txt", "1 50 40 20 20\n")
    assert "50 is not a share" in audit(project, yolo, "yolo", code=1)
    shutil.rmtree(yolo / "labels")
    assert "No label file belongs to any of the 5 training images" in audit(project, yolo, "yolo", code=1)


def test_yolo_validation_without_any_label_is_not_called_empty(project, yolo):
    for number in range(2):
        draw(yolo / f"images/val/v{number}.png", 10 + number)
        draw(yolo / f"images/test/t{number}.png", 20 + number)
    text = audit(project, yolo, "yolo")
    assert {name: state for name, state in subsets(project).items() if name[0] in "vt"} == {
        "v0.png": "validation unlabelled",
        "v1.png": "validation unlabelled",
        "t0.png": "test ok",
        "t1.png": "test ok",
    }
    assert "2 in a folder called test are the test set" in text


def test_yolo_labels_are_never_another_images(project, tmp_path):
    raw = tmp_path / "mine"
    for job in (1, 2):
        draw(raw / f"job{job}/images/0.png", job)
    draw(raw / "job1/images/1.png", 7)
    write(raw / "job1/labels/0.txt", f"{ROW}\n")
    write(raw / "job2/labels/0.txt", f"{ROW}\n")
    write(raw / "job2/labels/9.txt", f"{ROW}\n")
    audit(project, raw, "yolo")
    assert boxes(project) == {f"job{job}/images/0.png": ("1", *BOX[1:]) for job in (1, 2)}
    assert kinds(project) == {"no_label_file": 1, "no_image_file": 1}


def test_yolo_class_names_stay_text(project, yolo):
    write(yolo / "data.yaml", "train: images/train\nnames: [yes, 007, null]\n")
    write(yolo / "labels/train/0.txt", "0 0.3 0.5 0.4 0.5\n")
    write(yolo / "labels/train/2.txt", "2 0.3 0.5 0.4 0.5\n")
    audit(project, yolo, "yolo")
    text = (project.root / "data/audit/t/boxes.csv").read_text()
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == ["yes", "007", "null", "007"]


def test_yolo_folders_of_the_settings(project, yolo):
    (yolo / "data.yaml").unlink()
    (yolo / "images/train").rename(yolo / "images/first")
    (yolo / "labels/train").rename(yolo / "labels/first")
    draw(yolo / "images/second/s.png", 9)
    audit(project, yolo, "yolo", train=["images/first"], test=["images/second"])
    assert subsets(project)["s.png"] == "test ok"
    assert "did you mean 'images/first'" in audit(project, yolo, "yolo", code=2, train=["images/frist"])


KITTI = "WBC 0.00 0 -1.57 10.00 20.00 50.00 60.00 -1 -1 -1 -1000 -1000 -1000 -10"


def test_kitti(project, tmp_path):
    raw = tmp_path / "mine"
    for number in range(5):
        draw(raw / f"training/image_2/00000{number}.png", number)
        draw(raw / f"testing/image_2/00000{number}.png", 10 + number)
    ignored = (
        KITTI.replace("WBC", "DontCare").replace("10.00 20.00", "60.00 10.00").replace("50.00 60.00", "90.00 40.00")
    )
    write(raw / "training/label_2/000000.txt", f"{KITTI}\n{ignored}\n")
    write(raw / "training/label_2/000001.txt", f"{KITTI} 0.9\n")
    write(raw / "training/label_2/000002.txt", "")
    write(raw / "training/label_2/000003.txt", "WBC 0 0 0 10 20\n")
    write(raw / "training/calib/000004.txt", "P0: 1 2 3\n")
    audit(project, raw, "kitti")
    table = project.table("t", "boxes")
    assert [tuple(row) for row in table[["image_id", "label", "xmin", "ignore"]].to_numpy()] == [
        ("training/image_2/000000.png", "WBC", 10, False),
        ("training/image_2/000001.png", "WBC", 10, False),
        ("training/image_2/000000.png", "DontCare", 60, True),
    ]
    states = subsets(project)
    assert [states[f"training/image_2/00000{n}.png"] for n in range(5)] == [
        *["train ok"] * 3,
        *["train unlabelled"] * 2,
    ]
    assert {states[f"testing/image_2/00000{n}.png"] for n in range(5)} == {"test ok"}
    classes = (project.root / "data/audit/t/summary.json").read_text()
    assert '"DontCare"' not in classes


def test_kitti_image_of_ignored_regions_alone_is_not_unlabelled(project, tmp_path):
    raw = tmp_path / "mine"
    for number in range(2):
        draw(raw / f"images/{number}.png", number)
    write(raw / "labels/0.txt", f"{KITTI}\n")
    write(raw / "labels/1.txt", KITTI.replace("WBC", "DontCare"))
    audit(project, raw, "kitti")
    assert subsets(project) == {"0.png": "train ok", "1.png": "train ok"}
    assert list(project.table("t", "boxes")["ignore"]) == [False, True]
