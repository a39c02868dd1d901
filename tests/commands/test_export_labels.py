"""Labels and predictions written as COCO and YOLO are read back as they were."""

import json

import pandas as pd
import pytest
import yaml

import label_writers as writers
from label_writers import CLASSES, drawn_set
from tropho import tables
from tropho.commands.export_labels import export_labels
from tropho.errors import UsageError
from tropho.files import write_json
from tropho.tables import BOX, write_table


@pytest.fixture
def audited(project):
    """A project with a detection task `t` up to its split."""
    writers.corners_by_folder(project.root / "mine", drawn_set({"train": 8, "val": 2, "test": 2}))
    sections = {"download": {"path": "mine"}, "audit": {"format": "boxes_csv"}, "model": {"name": "fcos"}}
    project.add("t", "detection", **sections, split={"n_folds": 2})
    project.run("t", "download", "audit", "split")
    return project


def by_image(boxes):
    rows = boxes.dropna(subset=BOX).sort_values(["image_id", *BOX])
    return [(row["image_id"], row["label"], *(round(row[side], 3) for side in BOX)) for _, row in rows.iterrows()]


@pytest.mark.parametrize("to", ["coco", "yolo"])
def test_labels_come_back_as_they_were(audited, to):
    said = audited.tropho("labels", "t", "--to", to, "--out", "out").stdout
    first = 1 if to == "coco" else 0
    numbers = ", ".join(f"{number} {name}" for number, name in enumerate(sorted(CLASSES), start=first))
    assert said == f"out: 22 boxes of 12 images, as {to.upper()}; numbers of the classes: {numbers}.\n"
    if to == "yolo":
        assert "path" not in yaml.safe_load((audited.root / "out/data.yaml").read_text())
    sections = {"download": {"path": "out"}, "audit": {"format": to}, "model": {"name": "fcos"}}
    before = audited.table("t", "boxes")
    audited.add("back", "detection", **sections)
    audited.run("back", "download", "audit")
    assert by_image(audited.table("back", "boxes")) == by_image(before)
    splits = tables.read_table(audited.root / "data/splits/t.csv", tables.SPLITS).set_index("image_id")
    images = audited.table("back", "images").set_index("image_id")
    assert set(images["status"]) <= {"ok", "unlabelled"}  # COCO can't say that an image was looked at and is empty
    for image_id, image in images.iterrows():
        subset, fold = splits.loc[image_id, ["subset", "fold"]]
        assert image["subset"] == ("validation" if subset == "train" and fold == 0 else subset)


def test_another_format_is_refused(settings, tmp_path):
    with pytest.raises(UsageError, match=r"^--to is 'voc'; it must be coco or yolo\.$"):
        export_labels(settings("smear_demo"), tmp_path, "voc", tmp_path / "out", predictions=False)


def test_yolo_keeps_the_numbers_of_its_source(project):
    writers.yolo(project.root / "mine", drawn_set({"train": 8, "val": 2, "test": 2}))
    file = project.root / "mine" / "data.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    names = dict(enumerate(content["names"]) if isinstance(content["names"], list) else content["names"])
    swapped = {0: names[1], 1: names[0]}  # not in the order of the alphabet
    assert sorted(swapped.values()) != list(swapped.values())
    file.write_text(yaml.safe_dump({**content, "names": swapped}), encoding="utf-8")
    project.add("y", "detection", download={"path": "mine"}, audit={"format": "yolo"}, model={"name": "fcos"})
    project.run("y", "download", "audit")
    said = project.tropho("labels", "y", "--to", "yolo", "--out", "out").stdout
    assert said.strip().endswith(f"; numbers of the classes: 0 {swapped[0]}, 1 {swapped[1]}.")
    written = yaml.safe_load((project.root / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert written == {"train": "images/train", "val": "images/val", "test": "images/test", "names": swapped}
    before, after = _numbers(project.root / "mine"), _numbers(project.root / "out")
    assert {number for numbers in after.values() for number in numbers} == {"0", "1"}
    assert after == before


def _numbers(folder):
    """Class numbers of each label file that has rows."""
    files = {
        file.name: sorted(row.split(" ")[0] for row in file.read_text().splitlines()) for file in folder.rglob("*.txt")
    }
    return {name: numbers for name, numbers in files.items() if numbers}


@pytest.fixture
def predicted(audited):
    """The same with predictions of fold 0."""
    splits = tables.read_table(audited.root / "data/splits/t.csv", tables.SPLITS)
    names = list(splits.loc[(splits["subset"] == "train") & (splits["fold"] == 0), "image_id"])
    box = {"label": CLASSES[1], "score": 0.75, "xmin": 8.0, "ymin": 12.0, "xmax": 40.0, "ymax": 36.0}
    none = {"label": "NEG", "score": 0.5, **dict.fromkeys(BOX, 0.0)}
    rows = [{"image_id": name, **each} for name in names[1:] for each in (box, none)]
    write_table(pd.DataFrame(rows), audited.root / "reports/t/evaluate/oof_postprocessed.parquet")
    write_json(audited.root / "models/t/run.json", {"folds": [{"fold": 0}]})
    return audited, names


def test_predictions_have_scores(predicted):
    project, names = predicted
    project.tropho("labels", "t", "--to", "yolo", "--out", "yolo", "--predictions")
    written = {path.stem: path.read_text() for path in (project.root / "yolo/labels").rglob("*.txt")}
    assert set(written) == {name.removesuffix(".png") for name in names}
    assert written.pop(names[0].removesuffix(".png")) == ""
    assert set(written.values()) == {"1 0.375 0.5 0.5 0.5 0.75\n"}
    project.tropho("labels", "t", "--to", "coco", "--out", "coco", "--predictions")
    content = json.loads((project.root / "coco/annotations/instances_val.json").read_text())
    assert len(content["images"]) == len(names)
    assert {tuple(each["bbox"]) for each in content["annotations"]} == {(8.0, 12.0, 32.0, 24.0)}
    assert {each["score"] for each in content["annotations"]} == {0.75}


def test_what_can_not_be_written_is_refused(audited):
    (audited.root / "there").mkdir()
    words = ("--to", "coco", "--out")
    assert "exists already" in audited.tropho("labels", "t", *words, "there", code=2).stderr
    assert "has no boxes" in audited.tropho("labels", "cells_demo", *words, "new", code=2).stderr
    assert "has not been audited" in audited.tropho("labels", "smear_demo", *words, "new", code=1).stderr
    assert "has no predictions" in audited.tropho("labels", "t", *words, "new", "--predictions", code=1).stderr
    assert not (audited.root / "new").exists()
