"""Pascal VOC folders."""

from pathlib import Path

import pytest

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError

OBJECT = """  <object>
    <name>{name}</name>
    <bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>
  </object>
"""


@pytest.fixture
def task(settings):
    return settings("smear_demo", **{"audit.format": "voc", "audit.classes": None, "audit.negative": None})


def annotate(root: Path, stem: str, *objects: tuple[str, tuple], size: tuple[int, int] = (64, 48)) -> None:
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    body = "".join(OBJECT.format(name=name, box=box) for name, box in objects)
    stated = f"  <size><width>{size[0]}</width><height>{size[1]}</height></size>\n"
    (root / f"Annotations/{stem}.xml").write_text(f"<annotation>\n{stated}{body}</annotation>\n")
    (root / "JPEGImages").mkdir(exist_ok=True)
    (root / f"JPEGImages/{stem}.png").touch()


def split(root: Path, **stems: list[str]) -> None:
    main = root / "ImageSets/Main"
    main.mkdir(parents=True, exist_ok=True)
    for name, lines in stems.items():
        (main / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def subsets(labels) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images["subset"], strict=True))


def test_read_boxes_lines_sizes_and_ids(task, tmp_path):
    annotate(tmp_path, "a", ("RBC", (1, 2, 30, 40)), ("WBC", (5, 6, 7, 8)))
    labels = readers.read(task, tmp_path)
    assert labels.classes == ["RBC", "WBC"]
    assert labels.boxes[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [
        [1, 2, 30, 40],
        [5, 6, 7, 8],
    ]
    lines = (tmp_path / "Annotations/a.xml").read_text().splitlines()
    assert all("<object>" in lines[row - 1] for row in labels.boxes["row"])
    image = labels.images.iloc[0]
    assert (image["image_id"], image["path"]) == ("a.png", "JPEGImages/a.png")
    assert (image["stated_width"], image["stated_height"]) == (64, 48)


def test_read_named_splits(task, settings, tmp_path):
    for stem in "abc":
        annotate(tmp_path, stem, ("RBC", (1, 2, 30, 40)))
    split(tmp_path, train=["a"], val=["b  1"], test=["c"])
    named = {"audit.format": "voc", "audit.classes": None, "audit.negative": None}
    named |= {"audit.train": ["ImageSets/Main/train.txt"], "audit.test": ["ImageSets/Main/val.txt"]}
    assert subsets(readers.read(settings("smear_demo", **named), tmp_path)) == {
        "a.png": "train",
        "b.png": "test",
    }
    named["audit.train"] = ["ImageSets/Main/trane.txt"]
    with pytest.raises(UsageError, match=r"did you mean 'ImageSets/Main/train\.txt'"):
        readers.read(settings("smear_demo", **named), tmp_path)


def test_read_image_of_both_splits_stays_in_test(task, tmp_path):
    for stem in "ab":
        annotate(tmp_path, stem, ("RBC", (1, 2, 30, 40)))
    split(tmp_path, train=["a", "b"], test=["b"])
    labels = readers.read(task, tmp_path)
    assert subsets(labels) == {"a.png": "train", "b.png": "test"}
    assert list(labels.issues["kind"]) == ["in_both_subsets"]
    assert len(labels.boxes) == 2


def test_read_quarantines_issues(task, tmp_path):
    annotate(tmp_path, "good", ("RBC", (1, 2, 30, 40)))
    annotate(tmp_path, "part", ("RBC", (1, 2, "x", 40)), ("WBC", (1, 2, 3, 4)))
    annotate(tmp_path, "none", ("", (1, 2, 3, 4)))
    annotate(tmp_path, "empty")
    annotate(tmp_path, "torn")
    (tmp_path / "Annotations/torn.xml").write_text("<annotation><object>")
    split(tmp_path, train=["good", "part", "none", "empty", "torn", "absent"])
    labels = readers.read(task, tmp_path)
    usable = labels.images.loc[labels.images["status"] == "ok", "image_id"]
    assert list(usable) == ["good.png", "part.png", "empty.png"]
    assert len(labels.images) == 6
    kinds = set(labels.issues["kind"])
    assert {"bad_row", "bad_annotation", "no_label_file"} <= kinds
    bad = labels.issues[labels.issues["kind"] == "bad_row"]
    assert bad["row"].notna().all()


def test_read_refuses_no_annotation(task, tmp_path):
    split(tmp_path, train=["a"])
    with pytest.raises(DataError, match="No training label could be read"):
        readers.read(task, tmp_path)


def test_read_several_folders_each_with_lists(task, tmp_path):
    for name in ("VOC2007", "VOC2012"):
        annotate(tmp_path / name, "a", ("RBC", (1, 2, 30, 40)))
        split(tmp_path / name, **{"train" if name == "VOC2007" else "test": ["a"]})
    labels = readers.read(task, tmp_path)
    assert subsets(labels) == {"VOC2007/JPEGImages/a.png": "train", "VOC2012/JPEGImages/a.png": "test"}
    assert list(labels.boxes["file"]) == ["VOC2012/Annotations/a.xml", "VOC2007/Annotations/a.xml"]


@pytest.mark.real
def test_read_real_blood_cells(task, real_data):
    labels = readers.read(task, real_data / "bccd")
    assert labels.images["subset"].value_counts().to_dict() == {"train": 205, "validation": 87, "test": 72}
    assert labels.boxes["label"].value_counts().to_dict() == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    assert labels.issues.empty
