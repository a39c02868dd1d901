"""Exported models: they predict as the trained ones do, and without torch."""

import json
import subprocess

import numpy as np
import onnx
import pandas as pd
import pytest

from smear_generator.smear import photos
from trained_models import write_models
from tropho.commands.export_task import export_task
from tropho.commands.load_model import load_model, load_trained
from tropho.commands.predict_images import PredictOptions, predict_files
from tropho.errors import DataError, UsageError
from tropho.files import write_json
from tropho.inference.ensemble import Ensemble
from tropho.paths import Paths
from tropho.tables import BOX
from without_torch import TROPHO_WITHOUT_TORCH

SMEAR = {
    "model.fpn_channels": 8,
    "model.num_head_convs": 1,
    "augment.image_size": 96,
    "predict.tta": ["identity", "rot90"],
    "train.ensemble": {"empty": {"model.name": "negative_classifier", "augment.image_size": 64}},
}
CELLS = {
    "augment.image_size": 48,
    "predict.tta": ["identity", "hflip"],
    "train.ensemble": {"lenet": {"model.name": "lenet", "augment.image_size": 24}},
}
CLASSES = {"smear_demo": ["Trophozoite", "WBC"], "cells_demo": ["Parasitized", "Uninfected"]}


@pytest.fixture(scope="module", params=["smear_demo", "cells_demo"])
def exported(request, settings, tmp_path_factory):
    """Paths of a task whose untrained models were exported, what was said of it, and the settings."""
    task = request.param
    chosen = settings(task, **{"smear_demo": SMEAR, "cells_demo": CELLS}[task])
    paths = Paths(tmp_path_factory.mktemp(task), task)
    write_models(chosen, paths, CLASSES[task], spread=20.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tropho.commands.export_task.load_task", lambda name, path: chosen)
        said = export_task(task, "onnx", paths.root)
    return paths, said, chosen


@pytest.fixture(scope="module")
def photos_of_smears(tmp_path_factory):
    """Three drawn photos."""
    folder = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(photos(3, 3, "test", 0.2)):
        (folder / f"{number}.jpg").write_bytes(photo.jpeg)
    return sorted(folder.iterdir())


def compare(trained: Ensemble, exported: Ensemble, files, tolerance: float = 1e-4) -> int:
    """Hold predictions of both against each other, scores and shares of the images' sides; return their number."""
    rows = 0
    for file in files:
        expected, found = (
            pd.concat([table.assign(member=name) for name, [table] in each.predict_file(file, file.name).items()])
            for each in (trained, exported)
        )
        values = [name for name in expected if name == "score" or name.startswith("p_")]
        order = ["member", "label", *([values[0], *BOX] if "score" in values else [])]
        expected, found = (each.sort_values(order, ignore_index=True) for each in (expected, found))
        # Equal scores may come in any order, so boxes are compared with the nearest of nearly the same score.
        assert len(expected) == len(found)
        np.testing.assert_allclose(found[values], expected[values], atol=tolerance)
        if BOX[0] in expected:
            difference = box_difference(expected, found, tolerance)
            assert difference <= tolerance * expected[BOX].to_numpy().max()
        rows += len(expected)
    return rows


def box_difference(expected: pd.DataFrame, found: pd.DataFrame, tolerance: float) -> float:
    """Return the largest distance in pixels of a side of a box from that of the nearest box of its score and class."""
    largest = 0.0
    for row in expected.to_dict("records"):
        same = found[
            (found["member"] == row["member"])
            & (found["label"] == row["label"])
            & ((found["score"] - row["score"]).abs() <= tolerance)
        ]
        distance = np.abs(same[BOX].to_numpy() - np.array([row[side] for side in BOX])).max(axis=1).min()
        largest = max(largest, float(distance))
    return largest


def test_exported_models_predict_as_the_trained_ones(exported, photos_of_smears):
    paths, said, chosen = exported
    assert said.startswith(f"2 models in {paths.exports}; largest difference from the trained networks: ")
    loaded = load_model(paths.task, paths.root, exported=True)
    assert compare(load_trained(chosen, paths).ensemble, loaded.ensemble, photos_of_smears) >= 6


def test_exported_models_predict_scaled_views(exported, photos_of_smears):
    paths, _, chosen = exported
    trained = load_trained(chosen, paths).ensemble
    loaded = load_model(paths.task, paths.root, exported=True).ensemble
    for ensemble in (trained, loaded):
        ensemble.members.pop("lenet", None)  # its graph has one size
        for fold in (fold for folds in ensemble.members.values() for fold in folds):
            predict = fold.task.settings.predict.model_copy(update={"tta": ["hflip@1.25"]})
            fold.task.settings = fold.task.settings.model_copy(update={"predict": predict})
    # Where a resized pixel is half-way between two levels, both may round it differently.
    assert compare(trained, loaded, photos_of_smears[:1], tolerance=2e-3) >= 1


@pytest.mark.real
def test_exported_models_predict_real_photos_as_the_trained_ones(exported, real_data):
    paths, _, chosen = exported
    photos = sorted((real_data / "bccd" / "JPEGImages").glob("*.jpg"))[:5]
    loaded = load_model(paths.task, paths.root, exported=True)
    assert compare(load_trained(chosen, paths).ensemble, loaded.ensemble, photos) >= 10


def test_exported_models_predict_without_torch(exported, photos_of_smears, monkeypatch):
    paths, _, chosen = exported
    words = ["predict", paths.exports, *photos_of_smears, "--out", "onnx.csv", "--draw", "drawn", "--onnx"]
    done = subprocess.run(
        [*TROPHO_WITHOUT_TORCH, *map(str, words)], cwd=paths.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "3 of 3 images predicted" in done.stdout
    assert len(list((paths.root / "drawn").iterdir())) == 3
    monkeypatch.setattr("tropho.commands.load_model.load_task", lambda task, path: chosen)
    predict_files(paths.task, photos_of_smears, paths.root, PredictOptions(out=paths.root / "torch.csv"))
    found, expected = (pd.read_csv(paths.root / f"{name}.csv") for name in ("onnx", "torch"))
    assert list(found) == list(expected)
    assert len(found) == len(expected)
    values = [name for name in found if name == "confidence" or name.startswith("p_")]
    np.testing.assert_allclose(found[values], expected[values], atol=1e-4)


def test_onnx_files_say_what_they_are(exported):
    paths, _, chosen = exported
    model = onnx.load(paths.exports / "fold0" / "model.onnx")
    onnx.checker.check_model(model)
    assert {each.domain: each.version for each in model.opset_import}[""] == 18
    stated = {each.key: json.loads(each.value) for each in model.metadata_props}
    assert stated["classes"] == CLASSES[paths.task]
    assert stated["image_size"] == chosen.augment.image_size
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    outputs = {
        "smear_demo": {"scores": ["batch", "positions", 2], "boxes": ["batch", "positions", 4]},
        "cells_demo": {"probabilities": ["batch", 2]},
    }[paths.task]
    assert shapes == {"images": ["batch", 3, "height", "width"], **outputs}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model.name": "torchvision_retinanet", "model.fpn_channels": 256}, "'torchvision_retinanet' can't be export"),
        ({"predict.tile_size": 64}, "predict.tile_size asks for tiles"),
    ],
)
def test_export_refuses_what_it_can_not_do(settings, tmp_path, monkeypatch, changes, sentence):
    chosen = settings("smear_demo", **{"model.fpn_channels": 8, "augment.image_size": 64, **changes})
    paths = Paths(tmp_path, "smear_demo")
    write_models(chosen, paths, CLASSES["smear_demo"])
    monkeypatch.setattr("tropho.commands.export_task.load_task", lambda task, path: chosen)
    with pytest.raises(UsageError, match=sentence):
        export_task("smear_demo", "onnx", paths.root)
    assert not paths.exports.exists()


def test_export_refuses_a_graph_that_differs(settings, tmp_path, monkeypatch):
    chosen = settings("cells_demo", **{"model.name": "mlp", "model.hidden_units": [4], "augment.image_size": 16})
    paths = Paths(tmp_path, "cells_demo")
    write_models(chosen, paths, CLASSES["cells_demo"])
    ensemble = load_trained(chosen, paths).ensemble
    monkeypatch.setattr("tropho.commands.export_task.load_task", lambda task, path: chosen)
    monkeypatch.setattr("tropho.export.export_models.largest_difference", lambda *_: {"probabilities": 0.01})
    with pytest.raises(DataError, match=r"differs from its network by 1\.0e-02 in probabilities"):
        export_task("cells_demo", "onnx", paths.root)
    scaled = ensemble.task.settings.model_copy(update={"predict": replace_tta(chosen, ["identity@0.5"])})
    ensemble.task.settings = scaled
    with pytest.raises(UsageError, match="leave scales out"):
        from tropho.export.export_models import export_ensemble

        export_ensemble(ensemble, chosen, {"base": {0: paths.fold(0)}}, None, paths.exports)


def replace_tta(chosen, tta):
    return chosen.predict.model_copy(update={"tta": tta})


def test_another_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--to is 'tflite'; it must be onnx"):
        export_task("smear_demo", "tflite", tmp_path)


def test_nothing_exported_yet(tmp_path):
    with pytest.raises(UsageError, match="run `tropho export smear_demo --to onnx`"):
        load_model("smear_demo", tmp_path, exported=True)


def test_a_damaged_export(exported, tmp_path):
    paths, _, _ = exported
    folder = tmp_path / "exports" / paths.task
    for name in ("fold0", "empty/fold0", "lenet/fold0"):
        if (paths.exports / name).exists():
            (folder / name).mkdir(parents=True)
            (folder / name / "config.yaml").write_bytes((paths.exports / name / "config.yaml").read_bytes())
            (folder / name / "model.onnx").write_bytes(b"no graph")
    (folder / "ensemble.json").write_bytes((paths.exports / "ensemble.json").read_bytes())
    with pytest.raises(DataError, match=r"model\.onnx is damaged"):
        load_model(paths.task, tmp_path, exported=True)
    write_json(folder / "ensemble.json", {"members": {}, "settings": {"kind": "detection"}})
    with pytest.raises(DataError, match="another version"):
        load_model(paths.task, tmp_path, exported=True)
