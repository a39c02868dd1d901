"""Folds, test sets and classes without anything to score: undefined, which is neither a crash nor zero."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from drawn import QUICK, QUICK_CLASSES, draw_cells, draw_classes
from tropho import tables

STAGES = ("tune", "train", "evaluate", "submit", "report")


TRACKED = ("keeps_the_last_epoch",)
"""Tests in which MLflow takes part; the others save its seconds."""


@pytest.fixture(autouse=True)
def _untracked(request, monkeypatch):
    if not any(name in request.node.name for name in TRACKED):
        monkeypatch.setenv("TROPHO_TRACKING", "off")


def read(project, *parts):
    def refuse(word):
        raise AssertionError(f"{word} in {parts}")

    path = project.root.joinpath(*parts)
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def cells(project, negative, empty_fold=0, **train):
    """A detection task of two folds, one of which has no object."""
    folder = project.root / "cells"
    rows = draw_cells(folder, {f"c{number}": "cell" if number < 4 else None for number in range(8)})
    extra = {}
    if negative:
        rows.to_csv(folder / "Train.csv", index=False)
        audit = {"format": "boxes_csv", "negative": "NEG"}
    else:
        coco(folder, rows)
        audit = {"format": "coco"}
    sections = {**QUICK, "train": {**QUICK["train"], **train}, **extra}
    project.add(
        "t",
        "detection",
        download={"path": str(folder)},
        audit=audit,
        split={"n_folds": 2, "test_fraction": 0.0},
        **sections,
    )
    project.run("t", "download", "audit", "split")
    path = project.root / "data" / "splits" / "t.csv"
    splits = tables.read_table(path, tables.SPLITS)
    objects = set(project.table("t", "boxes")["image_id"])
    splits["fold"] = [(1 - empty_fold) if each in objects else empty_fold for each in splits["image_id"]]
    tables.write_table(splits, path, tables.SPLITS)
    project.run("t", "augment")
    return project


def coco(folder, rows):
    images = [
        {"id": number, "file_name": name, "width": 64, "height": 64} for number, name in enumerate(rows["Image_ID"])
    ]
    annotations = [
        {
            "id": number + 1,
            "image_id": number,
            "category_id": 1,
            "bbox": [row.xmin, row.ymin, row.xmax - row.xmin, row.ymax - row.ymin],
            "iscrowd": 0,
        }
        for number, row in enumerate(rows.itertuples())
        if row.xmax > 0
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "instances_train.json").write_text(json.dumps(content))


def test_a_fold_without_objects_keeps_the_last_epoch_and_says_so(project):
    """Plateaus and patience wait for scores that are defined, and no file has a NaN."""
    train = {
        "epochs": 3,
        "schedule": "plateau",
        "decay_epochs": 1,
        "early_stopping_patience": 1,
        "lr": 1.0e-3,
        "warmup_epochs": 0.0,
    }
    cells(project, negative=False, **train)
    project.run("t", "tune")
    said = project.run("t", "train").text
    assert "fold0 its mean AP is undefined, since its validation images show nothing to find" in said
    assert " undefined" in said
    record = read(project, "models", "t", "run.json")
    (fold,) = record["folds"]
    assert (fold["score"], fold["best_epoch"], fold["epochs"]) == (None, 3, 3)
    history = pd.read_csv(project.root / "models" / "t" / "fold0" / "history.csv")
    assert history["score"].isna().all()
    assert history["lr"].tolist() == [1.0e-3] * 3
    project.run("t", "evaluate", "submit", "report")
    metrics = read(project, "reports", "t", "evaluate", "metrics.json")
    assert metrics["headline"]["value"] is None
    assert metrics["oof"]["leaderboard_map"] is None
    notes = read(project, "reports", "t", "evaluate", "notes.json")
    assert "None of these 4 images has an object, so the score is undefined." in notes["oof"]
    assert "undefined" in project.tropho("status").text
    page = (project.root / "reports" / "t" / "index.html").read_text()
    assert "Nothing has been measured" not in page
    assert "undefined" in page
    assert ">nan<" not in page.lower()
    assert project.tropho("leaderboard", "t").code == 0


@pytest.mark.slow
def test_a_mean_over_folds_leaves_out_those_that_are_undefined(project):
    cells(project, negative=False, n_folds=None)
    project.run("t", *STAGES)
    record = read(project, "models", "t", "run.json")
    scores = [fold["score"] for fold in record["folds"]]
    assert scores[0] is None
    assert scores[1] is not None
    metrics = read(project, "reports", "t", "evaluate", "metrics.json")
    assert metrics["folds"]["fold0"]["leaderboard_map"] is None
    assert metrics["headline"]["value"] is not None
    table = pd.read_csv(project.root / "reports" / "t" / "evaluate" / "tables" / "oof" / "metrics.csv")
    draws = table.set_index("metric").loc["leaderboard_map", "draws"]
    assert 900 < int(draws) <= 1000


def test_a_fold_of_negatives_alone_says_what_its_score_is_of(project):
    cells(project, negative=True)
    project.run("t", *STAGES)
    notes = read(project, "reports", "t", "evaluate", "notes.json")
    assert "None of these 4 images has an object, so the score is that of 'NEG' alone." in notes["oof"]


def test_a_search_judged_by_images_without_objects_ends_with_a_sentence(project):
    """The first fold is trained on the second, which is empty here."""
    cells(project, negative=False, empty_fold=1)
    folder = project.root / "cells"
    tune = {"trials": 2, "epochs": 1, "space": {"train.lr": {"choices": [1.0e-3, 1.0e-4]}}}
    project.add(
        "t",
        "detection",
        download={"path": str(folder)},
        audit={"format": "coco"},
        split={"n_folds": 2, "test_fraction": 0.0},
        **{**QUICK, "tune": tune},
    )
    said = project.tropho("tune", "t", code=1).text
    assert "The score after epoch 1 is undefined" in said
    assert "set tune.trials to 0, or another train.seed" in said


def classes(project, counts, kind="classification", **sections):
    draw_classes(project.root / "pictures", counts)
    download = {"path": str(project.root / "pictures")}
    split = {"n_folds": 2, "test_fraction": 0.0}
    project.add("t", kind, download=download, **{"split": split, **QUICK_CLASSES, **sections})


def test_a_test_without_one_of_the_classes(project):
    classes(project, {"train/dark": 6, "train/bright": 6, "train/middle": 6, "test/dark": 4, "test/bright": 4})
    project.run("t", "download", "audit", "split", "augment", *STAGES)
    metrics = read(project, "reports", "t", "evaluate", "metrics.json")
    assert metrics["test"]["recall/middle"] is None
    assert metrics["test"]["roc_auc/middle"] is None
    assert metrics["test"]["balanced_accuracy"] is not None
    assert metrics["headline"]["subset"] == "test"
    folder = project.root / "reports" / "t" / "evaluate" / "figures" / "test"
    assert {"roc.png", "confusion.png", "per_class.png"} <= {path.name for path in folder.iterdir()}


def test_a_test_of_one_class_alone_is_told(project):
    classes(project, {"train/dark": 6, "train/bright": 6, "test/dark": 4})
    project.run("t", "download", "audit", "split", "augment", *STAGES)
    notes = read(project, "reports", "t", "evaluate", "notes.json")
    assert "All these images are of one class, 'dark', so no score tells classes apart." in notes["test"]


def test_one_class_alone_is_refused(project):
    classes(project, {"train/dark": 12})
    project.run("t", "download", "audit")
    said = project.tropho("split", "t", code=1).text
    assert "All usable training images are of class 'dark', and a classifier needs two classes" in said


def test_no_object_at_all_is_refused(project):
    folder = project.root / "cells"
    draw_cells(folder, {f"c{number}": None for number in range(8)}).to_csv(folder / "Train.csv", index=False)
    audit = {"format": "boxes_csv", "negative": "NEG", "classes": ["cell"]}
    project.add("t", "detection", download={"path": str(folder)}, audit=audit, **QUICK)
    project.run("t", "download", "audit")
    said = project.tropho("split", "t", code=1).text
    assert "None of the 8 usable training images has a labelled object" in said


def test_a_test_without_labels(project):
    folder = project.root / "cells"
    draw_cells(folder, {f"c{number}": "cell" for number in range(8)}).to_csv(folder / "Train.csv", index=False)
    test = draw_cells(folder, {f"t{number}": "cell" for number in range(3)}, "test")
    test[["Image_ID"]].to_csv(folder / "Test.csv", index=False)
    audit = {"format": "boxes_csv", "negative": "NEG"}
    project.add("t", "detection", download={"path": str(folder)}, audit=audit, split={"n_folds": 2}, **QUICK)
    project.run("t", "download", "audit", "split", "augment", *STAGES)
    metrics = read(project, "reports", "t", "evaluate", "metrics.json")
    assert "test" not in metrics
    assert metrics["headline"]["subset"] == "oof"
    assert len(pd.read_csv(project.root / "submissions" / "t.csv")) >= 3


def test_a_fold_that_trains_on_one_image_is_refused_where_batch_norm_can_not(project):
    classes(project, {"train/dark": 4, "train/bright": 4}, model={"name": "mlp", "hidden_units": [4], "norm": "batch"})
    project.run("t", "download", "audit", "split", "augment")
    path = project.root / "data" / "splits" / "t.csv"
    splits = tables.read_table(path, tables.SPLITS)
    splits["fold"] = np.where(np.arange(len(splits)) == 0, 1, 0)
    tables.write_table(splits, path, tables.SPLITS)
    project.run("t", "tune")
    said = project.tropho("train", "t", code=2).text
    assert "A fold's one training image leaves batch norm only one value a channel to average" in said


def test_the_last_batch_of_one_is_left_out(project):
    model = {"name": "mlp", "hidden_units": [4], "norm": "batch"}
    classes(project, {"train/dark": 5, "train/bright": 5}, model=model)
    project.run("t", "download", "audit", "split", "augment", "tune", "train")
    record = read(project, "models", "t", "run.json")
    assert math.isfinite(record["folds"][0]["score"])
