"""Exported detectors of transformers predict square images as the trained ones do."""

import subprocess

import numpy as np
import onnx
import pandas as pd
import pytest
from PIL import Image

from export.test_export_models import compare
from trained_models import write_models
from tropho.commands.export_task import export_task
from tropho.commands.load_model import load_model, load_trained
from tropho.errors import UsageError
from tropho.models.hf_checkpoint import resolve_checkpoint
from tropho.paths import Paths
from without_torch import TROPHO_WITHOUT_TORCH

CLASSES = ["Trophozoite", "WBC"]


@pytest.fixture
def trained(settings, checkpoints, tmp_path, monkeypatch):
    """trained(architecture) -> settings and paths of a task with a small detector that nobody trained."""

    def make(name):
        given = {"model.name": "hf_detr", "model.checkpoint": str(checkpoints(name)), "augment.image_size": 80}
        every = {"model.score_threshold": 0.0, "model.nms_iou_threshold": 1.0, "predict.tta": ["identity", "hflip"]}
        chosen = settings("smear_demo", **given, **every)
        chosen = chosen.model_copy(update={"model": resolve_checkpoint(chosen.model, CLASSES)})
        paths = Paths(tmp_path, "smear_demo")
        write_models(chosen, paths, CLASSES)
        monkeypatch.setattr("tropho.commands.export_task.load_task", lambda task, path: chosen)
        return chosen, paths

    return make


def noise(folder, width=80, height=80):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{width}x{height}.png")
    return folder / f"{width}x{height}.png"


@pytest.mark.parametrize(
    "name",
    [
        "rt_detr",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("rt_detr_v2", "lw_detr", "rf_detr")),
    ],
)
def test_exported_detectors_predict_as_the_trained_ones(trained, tmp_path, name):
    """Scores to 1e-4 and boxes to 1e-4 of the side; the graph has the side that the network pads squares to."""
    chosen, paths = trained(name)
    said = export_task("smear_demo", "onnx", paths.root)
    assert said.startswith("1 model in ")
    (given,) = onnx.load(paths.exports / "fold0" / "model.onnx").graph.input
    shape = [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]
    assert shape == [1, 3, 96, 96]
    loaded = load_model("smear_demo", paths.root, exported=True)
    square = noise(tmp_path)
    assert compare(load_trained(chosen, paths).ensemble, loaded.ensemble, [square]) > 5
    oblong = noise(tmp_path, 80, 50)
    [[found]] = loaded.ensemble.predict_file(oblong, oblong.name).values()
    assert (found[["xmax", "ymax"]].to_numpy() <= [80, 50]).all()
    words = ["predict", paths.exports, square, "--out", "onnx.csv", "--onnx"]
    done = subprocess.run(
        [*TROPHO_WITHOUT_TORCH, *map(str, words)], cwd=paths.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(paths.root / "onnx.csv")) > 1


def test_a_network_that_torch_can_not_export_is_named(trained, monkeypatch):
    def fail(*_):
        raise RuntimeError("data-dependent")

    chosen, paths = trained("rt_detr")
    monkeypatch.setattr("tropho.export.export_models._export", fail)
    sentence = rf"^torch can't export the rt_detr of '{chosen.model.checkpoint.name}' to ONNX \(RuntimeError\); predict"
    with pytest.raises(UsageError, match=sentence):
        export_task("smear_demo", "onnx", paths.root)
    assert not paths.exports.exists()
