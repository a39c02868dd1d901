"""Ignored regions through the stages: in no count, loss or score; refused where a model can't leave them out."""

import json

import pytest

from drawn import QUICK, draw_cells
from tropho import tables

TASK = "crowds"


@pytest.fixture
def crowds(project, monkeypatch):
    """A project in which half of the cells, and all of the images c8 to c11, are ignored regions."""
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    folder = project.root / "cells"
    names = {f"c{number}": "cell" for number in range(12)}
    rows = draw_cells(folder, {**names, "empty0": None, "empty1": None})
    rows.to_csv(folder / "Train.csv", index=False)
    sections = {**QUICK, "split": {"n_folds": 2, "test_fraction": 0.0}}
    audit = {"format": "boxes_csv", "negative": "NEG"}
    project.add(TASK, "detection", download={"path": str(folder)}, audit=audit, **sections)
    project.run(TASK, "download", "audit")
    path = project.root / "data" / "audit" / TASK / "boxes.csv"
    boxes = tables.read_table(path, tables.BOXES)
    boxes["ignore"] = boxes["image_id"].isin([f"c{number}.png" for number in range(6, 12)])
    tables.write_table(boxes, path, tables.BOXES)
    return project


def test_a_detector_trains_and_is_judged_beside_them(crowds):
    crowds.run(TASK, "split", "augment", "tune", "train", "evaluate", "submit", "report")
    metrics = json.loads((crowds.root / "reports" / TASK / "evaluate" / "metrics.json").read_text())
    assert "leaderboard_map" in metrics["oof"]
    page = (crowds.root / "reports" / TASK / "index.html").read_text()
    assert "ignored regions" in page


@pytest.mark.parametrize("name", ["torchvision_retinanet", "torchvision_faster_rcnn"])
def test_other_detectors_refuse_before_they_train(crowds, name):
    model = {"name": name, "norm": "batch", "pretrained": False}
    sections = {**QUICK, "model": model, "split": {"n_folds": 2, "test_fraction": 0.0}}
    audit = {"format": "boxes_csv", "negative": "NEG"}
    crowds.run(TASK, "split", "augment", "tune")
    crowds.add(TASK, "detection", download={"path": str(crowds.root / "cells")}, audit=audit, **sections)
    said = crowds.tropho("train", TASK, code=2).text
    assert "6 training images have ignored regions (crowds), such as 'c" in said
    assert "set model.name to fcos" in said
    assert not (crowds.root / "models" / TASK).exists()


def test_crowds_of_a_coco_file_are_ignored_regions(project, monkeypatch):
    """From the file to the score: half of the cells are annotated as crowds."""
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    folder = project.root / "cells"
    rows = draw_cells(folder, {f"c{number}": "cell" for number in range(12)})
    images = [{"id": n, "file_name": name, "width": 64, "height": 64} for n, name in enumerate(rows["Image_ID"])]
    annotations = [
        {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [row.xmin, row.ymin, 24, 24], "iscrowd": int(n >= 6)}
        for n, row in enumerate(rows.itertuples())
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "instances_train.json").write_text(json.dumps(content))
    split = {"n_folds": 2, "test_fraction": 0.0}
    sections = {**QUICK, "split": split}
    project.add(TASK, "detection", download={"path": str(folder)}, audit={"format": "coco"}, **sections)
    project.run(TASK, "download", "audit")
    assert project.table(TASK, "boxes")["ignore"].tolist() == [False] * 6 + [True] * 6
    project.run(TASK, "split", "augment", "tune", "train", "evaluate", "submit", "report")
    metrics = json.loads((project.root / "reports" / TASK / "evaluate" / "metrics.json").read_text())
    assert metrics["headline"]["name"] == "leaderboard_map"
