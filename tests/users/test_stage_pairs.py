"""Every pair of neighbouring stages on every format: what one stage writes is what the next one reads."""

import csv
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import label_writers as writers
from label_writers import CLASSES, Drawn, drawn_set, label_of
from project import Project
from tropho import tables
from tropho.images.cache import ImageCache

COUNTS = {"train": 7, "val": 3, "test": 2}
SUBSETS = {"train": "train", "val": "validation", "test": "test"}
OWN_BOXES = ["image_id", "label", "score", "xmin", "ymin", "xmax", "ymax"]
ZINDI = ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]
OWN_CLASSES = ["image_id", "label", *(f"p_{name}" for name in CLASSES)]
QUICK: dict[str, dict[str, Any]] = {
    "augment": {"image_size": 64, "policy": "light"},
    "train": {"epochs": 1, "batch_size": 4, "schedule": "constant"},
    "predict": {"batch_size": 1},  # as `tropho predict` does, so that both round alike
    "evaluate": {"gallery_images": 1},
}
FCOS = {"name": "fcos", "fpn_channels": 8, "fpn_levels": [3, 4], "num_head_convs": 1, "norm": "frozen"}
MLP = {"name": "mlp", "hidden_units": [4], "norm": "none"}


@dataclass(frozen=True)
class Way:
    """A data set as a user has it, and what its submission looks like.

    Attributes:
        form: audit.format.
        write: a function of label_writers.
        header: of the submission.
        settings: of other sections.
        zipped: whether the source is an archive.
        publishes: the subsets that this layout can tell.
        test_labels: whether the test is labelled.
        ids: what stands before an image's name in its id; {subset} and {label} are filled in.
    """

    form: str
    write: Any
    header: list[str]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    zipped: bool = False
    publishes: tuple[str, ...] = ("train", "val", "test")
    test_labels: bool = False
    ids: str = ""


PUBLISHED = {"split": {"published_val": "keep"}, "evaluate": {**QUICK["evaluate"], "score_test": True}}
WAYS = {
    "zindi": Way("boxes_csv", writers.zindi, ZINDI, {"audit": {"negative": "NEG"}}, False, ("train", "test")),
    "corners": Way("boxes_csv", writers.corners_by_folder, OWN_BOXES, {}, zipped=True, test_labels=True),
    "cells": Way("boxes_csv", writers.bbox_cells, ["image_id", "PredictionString"], publishes=("train", "test")),
    "coco": Way("coco", writers.coco, OWN_BOXES, PUBLISHED, zipped=True),
    "voc": Way("voc", writers.voc, OWN_BOXES, test_labels=True),
    "voc_beside": Way("voc", writers.voc_beside, OWN_BOXES, zipped=True, test_labels=True),
    "yolo": Way("yolo", writers.yolo, OWN_BOXES),
    "kitti": Way("kitti", writers.kitti, OWN_BOXES, zipped=True, publishes=("train", "test")),
    "folders": Way(
        "image_folder", writers.class_folders, OWN_CLASSES, PUBLISHED, test_labels=True, ids="{subset}/{label}/"
    ),
    "bare_folders": Way("image_folder", writers.bare_class_folders, OWN_CLASSES, {}, True, ("train",), ids="{label}/"),
    "tables": Way("label_csv", writers.label_tables, ["id", CLASSES[1], CLASSES[0]], {}, True, ids="{subset}/"),
    "one_table": Way("label_csv", writers.one_label_table, OWN_CLASSES, test_labels=True, ids="images/"),
}
TRACKED = "folders"
"""The one that records its runs."""
ALWAYS = ("zindi", "coco", "yolo", TRACKED, "tables")
"""The others are slow tests; the audit of their formats is tested in tests/formats too."""


class Expected:
    """What is in the drawn pictures, by the ids that the layout gives them."""

    def __init__(self, way: Way) -> None:
        self.way, self.pictures = way, drawn_set(COUNTS)
        self.boxed = way.form not in {"image_folder", "label_csv"}
        named = {".png": ""} if way.write is writers.bbox_cells else {}
        self.ids = {self.id_of(each, named): each for each in self.pictures}

    def id_of(self, each: Drawn, named: dict[str, str]) -> str:
        """The picture's id; the table of cells names pictures without their ending, but its test by files."""
        name = each.name.removesuffix(".png") if named and each.subset != "test" else each.name
        return self.way.ids.format(subset=each.subset, label=label_of(each)) + name

    def subset(self, each: Drawn) -> str:
        return SUBSETS[each.subset] if each.subset in self.way.publishes else "train"

    def is_labelled(self, each: Drawn) -> bool:
        return self.subset(each) != "test" or self.way.test_labels


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name not in ALWAYS)) for name in WAYS])
def way(request) -> str:
    return request.param


def test_every_stage_reads_what_the_one_before_has_written(project: Project, monkeypatch, way):
    if way != TRACKED:
        monkeypatch.setenv("TROPHO_TRACKING", "off")
    expected = Expected(WAYS[way])
    source = add(project, WAYS[way], expected)
    check_download(project, source)
    project.run("t", "audit")
    check_audit(project, expected)
    project.run("t", "split")
    folds, tests = check_split(project, expected)
    project.run("t", "augment")
    assert sorted(ImageCache(project.root / "data/augmented/t/cache").image_ids) == sorted([*folds, *tests])
    project.run("t", "tune", "train")
    record = json.loads((project.root / "models/t/run.json").read_text())
    assert record["classes"] == CLASSES
    assert [fold["fold"] for fold in record["folds"]] == [0]
    project.run("t", "evaluate")
    check_evaluation(project, expected, folds, tests)
    project.run("t", "submit")
    check_submission(project, expected, tests)
    project.run("t", "report")
    page = (project.root / "reports/t/index.html").read_text(encoding="utf-8")
    assert all(name in page for name in CLASSES)
    check_prediction(project, expected, tests)


def add(project: Project, way: Way, expected: Expected) -> Path:
    """Write the data set, name it in params.yaml, and return its folder."""
    source = project.root / "source"
    way.write(source, expected.pictures)
    path = shutil.make_archive(str(project.root / "cells"), "zip", source) if way.zipped else source
    sections = {**QUICK, "model": FCOS if expected.boxed else MLP, **way.settings}
    sections["split"] = {"n_folds": 2, **sections.get("split", {})}
    sections["audit"] = {"format": way.form, **sections.get("audit", {})}
    kind = "detection" if expected.boxed else "classification"
    project.add("t", kind, download={"path": str(path)}, **sections)
    return source


def check_download(project: Project, source: Path) -> None:
    """Every file of the source is in data/raw, byte for byte."""
    project.run("t", "download")
    raw = project.root / "data/raw/t"
    there, here = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (source, raw)
    )
    assert json.loads(here.pop("provenance.json"))["files"] == len(there)
    assert here == there


def check_audit(project: Project, expected: Expected) -> None:
    """Images, subsets, labels and boxes are those that were drawn, and nothing is called a fault."""
    images = project.table("t", "images").set_index("image_id")
    assert images["subset"].to_dict() == {name: expected.subset(each) for name, each in expected.ids.items()}
    assert set(images["status"]) == {"ok"}
    labels = {} if expected.boxed else {k: label_of(v) for k, v in expected.ids.items() if expected.is_labelled(v)}
    assert images["label"].dropna().to_dict() == labels
    found = project.table("t", "boxes")
    boxes = sorted((b.image_id, b.label, *(round(x, 3) for x in (b.xmin, b.ymin, b.xmax, b.ymax)))
                   for b in found.itertuples())  # fmt: skip
    drawn = ((name, *box) for name, each in expected.ids.items() if expected.is_labelled(each) for box in each.boxes)
    assert boxes == (sorted(drawn) if expected.boxed else [])
    assert set(project.table("t", "issues")["kind"]) <= {"empty_row"}
    summary = json.loads((project.root / "data/audit/t/summary.json").read_text(encoding="utf-8"))
    assert summary["classes"] == CLASSES


def check_split(project: Project, expected: Expected) -> tuple[list[str], list[str]]:
    """Each image is in one part: those published as test in test, the others in folds; returns ids of both."""
    splits = tables.read_table(project.root / "data/splits/t.csv", tables.SPLITS).set_index("image_id")
    assert sorted(splits.index) == sorted(expected.ids)
    tests = list(splits.index[splits["subset"] == "test"])
    if "test" in expected.way.publishes:
        assert set(tests) == {name for name, each in expected.ids.items() if expected.subset(each) == "test"}
    assert tests
    rest = splits.drop(tests)
    assert set(rest["subset"]) == {"train"}
    if expected.way.settings.get("split"):
        held_back = {name for name in rest.index if expected.subset(expected.ids[name]) == "validation"}
        assert set(rest.index[rest["fold"] == 0]) == held_back
    assert set(rest["fold"]) == {0, 1}
    return list(rest.index), tests


def check_evaluation(project: Project, expected: Expected, folds: list[str], tests: list[str]) -> None:
    """Predictions are of the images of fold 0 and of the test, and the metrics of both where labels are known."""
    folder = project.root / "reports/t/evaluate"
    splits = tables.read_table(project.root / "data/splits/t.csv", tables.SPLITS).set_index("image_id")
    judged = {name for name in folds if splits.loc[name, "fold"] == 0}
    for file, ids in (("oof", judged), ("test", set(tests))):
        table = pd.read_parquet(folder / f"{file}.parquet")
        assert set(table["image_id"]) <= ids if expected.boxed else set(table["image_id"]) == ids
        assert set(table["label"]) <= {*CLASSES, "NEG"}
    metrics = json.loads((folder / "metrics.json").read_text())
    known = any(expected.is_labelled(expected.ids[name]) for name in tests)
    assert ("test" in metrics and bool(metrics["test"])) == known
    assert metrics["oof"]


def check_submission(project: Project, expected: Expected, tests: list[str]) -> None:
    """The header is the layout's, and each test image has its rows."""
    header, *rows = read_rows(project.root / "submissions/t.csv")
    assert header == expected.way.header
    record = json.loads((project.root / "submissions/t.json").read_text())
    assert record["images"] == len(tests)
    assert not record["not_predicted"]
    named = {Path(row[0]).name.removesuffix(".png") for row in rows}
    wanted = {Path(name).name.removesuffix(".png") for name in tests}
    assert named <= wanted if header == OWN_BOXES else named == wanted


def check_prediction(project: Project, expected: Expected, tests: list[str]) -> None:
    """`tropho predict` says of the test's files what the submission says of them."""
    images = project.table("t", "images").set_index("image_id")
    files = [project.root / "data/raw/t" / images.loc[name, "path"] for name in tests]
    project.tropho("predict", "t", *files, "--out", "out.csv")
    header, *rows = read_rows(project.root / "out.csv")
    ours, *submitted = read_rows(project.root / "submissions/t.csv")
    assert header == ours
    by_file = [[Path(row[0]).name, *row[1:]] for row in submitted]
    assert sorted(rows) == sorted(by_file)


def read_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
