"""Prediction of image files by all members."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trained_models import write_models
from tropho.commands import predict_images
from tropho.commands.load_model import LoadedModel
from tropho.commands.predict_images import PredictOptions, predict_files
from tropho.errors import DataError, UsageError
from tropho.files import read_json, write_json
from tropho.inference.ensemble_members import write_manifest
from tropho.paths import Paths

SMALL = {
    "smear_demo": {
        "model.fpn_channels": 8,
        "augment.image_size": 64,
        "audit.negative": None,
        "audit.missing_labels": "none",
    },
    "cells_demo": {"model.name": "lenet", "augment.image_size": 24},
}


CLASSES = {"smear_demo": ["Trophozoite", "WBC"], "cells_demo": ["Parasitized", "Uninfected"]}


@pytest.fixture
def ensemble(settings, tmp_path, monkeypatch):
    """Function (task, members, changes) that keeps untrained models of a task and returns its paths."""

    def make(task, members, **changes):
        changed = {"train.ensemble": {name: {"train.seed": 1} for name in members}}
        chosen = settings(task, **SMALL[task], **changed, **changes)
        paths = Paths(tmp_path, task)
        write_models(chosen, paths, CLASSES[task])
        monkeypatch.setattr("tropho.commands.load_model.load_task", lambda task, path: chosen)
        return paths

    return make


@pytest.fixture
def blank(tmp_path):
    """A picture without any object."""
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(tmp_path / "blank.png")
    return tmp_path / "blank.png"


def test_predict_files_without_detections(ensemble, blank, tmp_path):
    paths = ensemble("smear_demo", ["other"], **{"model.score_threshold": 0.9})
    said = predict_files("smear_demo", [blank], paths.root, PredictOptions(out=tmp_path / "out.csv"))
    assert said[0] == "blank.png: nothing found"
    assert said[1].startswith("1 of 1 images predicted; 0 rows")
    assert pd.read_csv(tmp_path / "out.csv").empty


@pytest.mark.parametrize(
    ("task", "changes", "sample", "header", "ids"),
    [
        ("smear_demo", {}, None, "Image_ID,class,confidence,ymin,xmin,ymax,xmax", "blank.png"),
        ("smear_demo", {"audit.format": "coco"}, None, "image_id,label,score,xmin,ymin,xmax,ymax", "blank.png"),
        ("smear_demo", {}, "id,PredictionString\na,WBC 0.5 0 0 1 1\n", "id,PredictionString", "blank"),
        ("cells_demo", {}, None, "image_id,label,p_Parasitized,p_Uninfected", "blank.png"),
        ("cells_demo", {}, "Id,Uninfected,Parasitized\n1.png,0.5,0.5\n", "Id,Uninfected,Parasitized", "blank.png"),
        ("cells_demo", {}, "Id,target\n1,0.5\n", "Id,target", "blank"),
    ],
)
def test_predict_files_in_the_submission_layout(ensemble, blank, tmp_path, task, changes, sample, header, ids):
    paths = ensemble(task, [], **changes)
    if task == "smear_demo" and not changes:  # as the audit of Zindi's tables notes it
        write_json(
            paths.audit / "summary.json", {"columns": {"Train.csv": {"image": "Image_ID"}}, "missing_labels": []}
        )
    if sample:
        paths.raw.mkdir(parents=True)
        (paths.raw / "sample_submission.csv").write_text(sample)
    predict_files(task, [blank], paths.root, PredictOptions(out=tmp_path / "out.csv"))
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == header
    assert {line.split(",")[0] for line in lines[1:]} == {ids}


@pytest.mark.parametrize(
    ("then", "changes", "named"),
    [
        ({"members": {}}, {}, "member b"),
        ({"folds": [{"fold": 0, "run_id": "old"}]}, {}, "member base"),
        ({}, {"predict.tta": ["identity", "hflip"]}, r"predict\.tta"),
        ({}, {"predict.batch_size": 1}, None),
    ],
)
def test_predict_files_refuses_another_evaluation(ensemble, settings, blank, tmp_path, then, changes, named):
    paths = ensemble("cells_demo", ["b"], **changes)
    evaluated = settings("cells_demo", **SMALL["cells_demo"])
    write_json(paths.evaluate / "postprocess.json", {"temperature": 2.0})
    write_manifest(paths.evaluate, {**read_json(paths.models / "run.json"), **then}, evaluated)
    if named is None:
        predict_files("cells_demo", [blank], paths.root, PredictOptions(out=tmp_path / "out.csv"))
        return
    with pytest.raises(DataError, match=rf"changed since: {named}\); run `tropho evaluate cells_demo`\.$"):
        predict_files("cells_demo", [blank], paths.root, PredictOptions(out=tmp_path / "out.csv"))


def test_predict_files_refuses_results_without_manifest(ensemble, blank, tmp_path):
    paths = ensemble("cells_demo", [])
    write_json(paths.evaluate / "postprocess.json", {"temperature": 2.0})
    with pytest.raises(DataError, match="run `tropho evaluate cells_demo`"):
        predict_files("cells_demo", [blank], paths.root, PredictOptions(out=tmp_path / "out.csv"))


def test_predict_files_uses_fitted_weights(ensemble, settings, blank, tmp_path):
    paths = ensemble("cells_demo", ["b"])
    write_manifest(paths.evaluate, read_json(paths.models / "run.json"), settings("cells_demo"))
    columns = [f"p_{name}" for name in CLASSES["cells_demo"]]
    found = {}
    for share in (0.0, 1.0, 0.25):
        write_json(paths.evaluate / "postprocess.json", {"weights": {"b": 1 - share, "base": share}})
        predict_files("cells_demo", [blank], paths.root, PredictOptions(out=tmp_path / "out.csv"))
        found[share] = pd.read_csv(tmp_path / "out.csv")[columns].to_numpy()
    assert not np.allclose(found[0.0], found[1.0], atol=1e-3)
    np.testing.assert_allclose(found[0.25], 0.25 * found[1.0] + 0.75 * found[0.0], atol=1e-6)


def test_predict_files_names_by_path_where_names_repeat():
    assert predict_images.image_names([Path("x/a.png"), Path("y/b.png")]) == {
        "a.png": Path("x/a.png"),
        "b.png": Path("y/b.png"),
    }
    assert list(predict_images.image_names([Path("x/a.png"), Path("y/a.png")])) == ["x/a.png", "y/a.png"]


def test_find_images_names_a_file_that_does_not_exist(blank, tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.png does not exist"):
        predict_images.find_images([blank, tmp_path / "nowhere.png"])


def test_predict_files_lists_folders_and_patterns(ensemble, blank, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "two.PNG").write_bytes(blank.read_bytes())
    (tmp_path / "deep" / "notes.txt").write_text("no image")
    paths = ensemble("cells_demo", [])
    said = predict_files("cells_demo", [tmp_path / "deep", tmp_path / "b*.png", blank], paths.root, PredictOptions())
    assert [line.split(":")[0] for line in said[:-1]] == ["two.PNG", "blank.png"]
    assert said[-1] == "2 of 2 images predicted."
    assert all(line.split(" ")[1] in CLASSES["cells_demo"] for line in said[:-1])


@pytest.mark.parametrize("place", ["*.jpg", "empty"])
def test_predict_files_refuses_places_without_images(ensemble, tmp_path, place):
    paths = ensemble("cells_demo", [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no image file"):
        predict_files("cells_demo", [tmp_path / place], paths.root, PredictOptions())


@pytest.mark.parametrize("choice", ["most", "1.5", "nan"])
def test_predict_files_refuses_other_thresholds(ensemble, blank, choice):
    paths = ensemble("cells_demo", [])
    with pytest.raises(UsageError, match="must be best or a number from 0 to 1"):
        predict_files("cells_demo", [blank], paths.root, PredictOptions(threshold=choice))


def test_predict_files_refuses_best_before_an_evaluation(ensemble, blank):
    paths = ensemble("cells_demo", [])
    with pytest.raises(UsageError, match="no best thresholds before the first evaluation"):
        predict_files("cells_demo", [blank], paths.root, PredictOptions(threshold="best"))


def test_predict_files_counts_images_of_a_class_in_the_working_directory(ensemble, blank, tmp_path, monkeypatch):
    paths = ensemble("cells_demo", [])
    monkeypatch.chdir(tmp_path)
    line, last = predict_files("cells_demo", [blank, blank], paths.root, PredictOptions(counts=True))
    counts = pd.read_csv(tmp_path / "counts.csv", index_col="label")["images"]
    assert list(counts.index) == CLASSES["cells_demo"]
    assert counts.sum() == counts[line.split()[1]] == 1
    parasitized, uninfected = counts
    assert last == f"1 of 1 images predicted: {parasitized} Parasitized, {uninfected} Uninfected; counts in counts.csv."


def test_predict_files_counts_boxes_beside_the_pictures(ensemble, blank, tmp_path):
    paths = ensemble("smear_demo", [])
    last = predict_files("smear_demo", [blank], paths.root, PredictOptions(draw=tmp_path / "drawn", counts=True))[-1]
    assert list(pd.read_csv(tmp_path / "drawn" / "counts.csv")["image_id"]) == ["blank.png"]
    assert last.startswith("1 of 1 images predicted: 0 Trophozoite, 0 WBC; pictures in ")


def test_predict_files_draws_and_counts_from_a_threshold(ensemble, blank, tmp_path):
    paths = ensemble("smear_demo", [])  # untrained: every score is near 0.1, the square root of the prior
    everything = predict_files("smear_demo", [blank], paths.root, PredictOptions(out=tmp_path / "all.csv"))
    assert everything[0] == "blank.png: nothing found"
    table = pd.read_csv(tmp_path / "all.csv")
    assert everything[-1].endswith("on: Trophozoite 0.50, WBC 0.50; all.csv has all boxes.")
    cut = table["score"].median()
    options = PredictOptions(tmp_path / "out.csv", tmp_path / "drawn", counts=True, threshold=str(cut))
    said = predict_files("smear_demo", [blank], paths.root, options)
    kept, counts = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(tmp_path / "out_counts.csv")
    assert 0 < len(kept) == counts[CLASSES["smear_demo"]].to_numpy().sum() < len(table)
    assert list(counts["image_id"]) == ["blank.png"]
    trophozoites, white_cells = counts.loc[0, CLASSES["smear_demo"]]
    assert counts.loc[0, "parasites_per_microlitre"] == round(trophozoites / white_cells * 8000)
    assert f"{trophozoites} Trophozoite, {white_cells} WBC; " in said[0]
    with Image.open(tmp_path / "drawn" / "blank_drawn.png") as picture:
        assert picture.width >= 640
    assert f"counts in {tmp_path / 'out_counts.csv'}" in said[-1]
    assert said[-1].endswith(f"on: Trophozoite {cut:.2f}, WBC {cut:.2f}.")


def test_pictures_keep_photos_and_each_other():
    names = predict_images.picture_names(["a.jpg", "b.jpg", "b.png", "../d/c.tif", "x.y.bmp"])
    assert list(names.values()) == [
        "a_drawn.png",
        "b_jpg_drawn.png",
        "b_png_drawn.png",
        "d__c_drawn.png",
        "x.y_drawn.png",
    ]


def test_density_needs_a_white_cell(settings):
    def density(task, white_cells):
        return LoadedModel(None, settings(task), None, None).density({"Trophozoite": 3, "WBC": white_cells})

    assert str(density("smear_demo", 0)) == "no white cell to count parasites against"
    assert density("smear_demo", 2).per_microlitre == 12_000
    assert density("cells_demo", 2) is None


def test_describe_names_the_doubt(settings):
    ensemble = SimpleNamespace(task=SimpleNamespace(classes=["a", "b"]))
    model, table = LoadedModel(ensemble, settings("cells_demo"), None, None), pd.DataFrame({"p_a": [0.6], "p_b": [0.4]})
    assert model.describe(table) == "a 0.600"
    assert model.describe(table, {"a": 0.7, "b": 0.1}) == "a 0.600 (uncertain)"
