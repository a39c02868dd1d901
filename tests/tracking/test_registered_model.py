"""A registered model, loaded back from the store as MLflow serves it."""

import base64
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.errors import DataError
from tropho.images.decode import DECODING
from tropho.tracking import open_tracker, tracking_uri
from tropho.tracking.registry import requirements
from tropho.tracking.store import connect


class StubPredictor:
    """One row an image: its mean, and what the folder holds."""

    def __init__(self, folder: Path) -> None:
        self.held = (folder / "config.yaml").read_text()
        self.decoding = DECODING

    def predict_images(self, images):
        return [pd.DataFrame({"mean": [float(image.mean())] * (1 + number)}) for number, image in enumerate(images)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    stub = types.ModuleType("tropho.predicting.predictor")
    stub.load_predictor = StubPredictor
    monkeypatch.setitem(sys.modules, "tropho.predicting.predictor", stub)
    monkeypatch.setattr(sys, "path", list(sys.path))  # loading a model puts its code in front
    for name in ("MLFLOW_TRACKING_URI", "TROPHO_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "fold0").mkdir()
    (tmp_path / "fold0" / "config.yaml").write_text("classes: [a, b]\n")
    return tmp_path


def test_the_champion_predicts_paths_and_base64(root):
    import mlflow

    tracker = open_tracker(root)
    with tracker.run("r", "t") as run:
        assert run.log_model(root / "fold0", "t", alias="champion") == "1"
    with tracker.run("r", "t") as run:
        assert run.log_model(root / "fold0", "t") == "2"
        assert run.log_model(root / "fold0", "t", alias="champion") == "3"
    client = connect(tracking_uri(root))
    champion = client.get_model_version_by_alias("t", "champion")
    assert champion.run_id == run.id
    model = mlflow.pyfunc.load_model(champion.source)

    dark, light = root / "dark.png", root / "light.png"
    Image.fromarray(np.full((4, 6, 3), 10, np.uint8)).save(dark)
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(light)
    encoded = base64.b64encode(light.read_bytes()).decode()
    cells = [str(dark), encoded, f"data:image/png;base64,{encoded}"]
    answer = model.predict(pd.DataFrame({"image": cells}))
    assert answer.columns.tolist() == ["row", "mean"]
    assert answer["row"].tolist() == [0, 1, 1, 2, 2, 2]
    assert answer["mean"].tolist() == [10, *[200] * 5]
    with pytest.raises(DataError, match="Row 1"):
        model.predict(pd.DataFrame({"image": [str(dark), "no such file.png"]}))


def test_requirements_are_exact():
    pins = dict(line.split("==") for line in requirements())
    assert {"torch", "mlflow", "safetensors"} <= set(pins)
    assert all(pins.values())
    assert "pytest" not in pins
