"""Prediction of image files by all members."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from run_records import fold_entry
from tropho.commands import predict_images
from tropho.commands.predict_images import predict_files
from tropho.config.load import member_settings
from tropho.errors import DataError
from tropho.evaluation.manifest import write_manifest
from tropho.files import read_json, write_json
from tropho.paths import Paths
from tropho.tasks import build_task

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
        for name, own in member_settings(chosen).items():
            folder = paths.fold(0, name)
            folder.mkdir(parents=True)
            model = build_task(own, CLASSES[task]).build_model()
            save_file(
                {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "weights.safetensors"
            )
            config = {"settings": own.model_dump(), "classes": CLASSES[task]}
            (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        entries = {name: {"folds": [fold_entry(paths.fold(0, name))]} for name in ["base", *members]}
        write_json(paths.models / "run.json", {**entries.pop("base"), "members": entries})
        monkeypatch.setattr("tropho.commands.predict_images.load_task", lambda task, path: chosen)
        return paths

    return make


@pytest.fixture
def blank(tmp_path):
    """A picture without any object."""
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(tmp_path / "blank.png")
    return tmp_path / "blank.png"


def test_predict_files_without_detections(ensemble, blank, tmp_path):
    paths = ensemble("smear_demo", ["other"], **{"model.score_threshold": 0.9})
    said = predict_files("smear_demo", [blank], tmp_path / "out.csv", paths.root)
    assert said.startswith("1 of 1 images predicted; 0 rows")
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
    predict_files(task, [blank], tmp_path / "out.csv", paths.root)
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
        predict_files("cells_demo", [blank], tmp_path / "out.csv", paths.root)
        return
    with pytest.raises(DataError, match=rf"changed since: {named}\); run `tropho evaluate cells_demo`\.$"):
        predict_files("cells_demo", [blank], tmp_path / "out.csv", paths.root)


def test_predict_files_refuses_results_without_manifest(ensemble, blank, tmp_path):
    paths = ensemble("cells_demo", [])
    write_json(paths.evaluate / "postprocess.json", {"temperature": 2.0})
    with pytest.raises(DataError, match="run `tropho evaluate cells_demo`"):
        predict_files("cells_demo", [blank], tmp_path / "out.csv", paths.root)


def test_predict_files_uses_fitted_weights(ensemble, settings, blank, tmp_path):
    paths = ensemble("cells_demo", ["b"])
    write_manifest(paths.evaluate, read_json(paths.models / "run.json"), settings("cells_demo"))
    columns = [f"p_{name}" for name in CLASSES["cells_demo"]]
    found = {}
    for share in (0.0, 1.0, 0.25):
        write_json(paths.evaluate / "postprocess.json", {"weights": {"b": 1 - share, "base": share}})
        predict_files("cells_demo", [blank], tmp_path / "out.csv", paths.root)
        found[share] = pd.read_csv(tmp_path / "out.csv")[columns].to_numpy()
    assert not np.allclose(found[0.0], found[1.0], atol=1e-3)
    np.testing.assert_allclose(found[0.25], 0.25 * found[1.0] + 0.75 * found[0.0], atol=1e-6)


def test_predict_files_names_by_path_where_names_repeat():
    assert predict_images._image_ids([Path("x/a.png"), Path("y/b.png")]) == {
        "a.png": Path("x/a.png"),
        "b.png": Path("y/b.png"),
    }
    assert list(predict_images._image_ids([Path("x/a.png"), Path("y/a.png")])) == ["x/a.png", "y/a.png"]
