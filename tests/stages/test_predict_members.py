"""`tropho predict` by several members: pictures without a find, and what was fitted for other members."""

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from tropho.config import member_settings
from tropho.files import write_json
from tropho.stages.paths import Paths
from tropho.stages.predict import predict_files
from tropho.tasks import build_task

SMALL = {
    "smear_demo": {"model.fpn_width": 8, "augment.size": 64, "audit.negative": None, "audit.protocol": "none"},
    "cells_demo": {"model.name": "lenet", "augment.size": 24},
}
CLASSES = {"smear_demo": ["Trophozoite", "WBC"], "cells_demo": ["Parasitized", "Uninfected"]}


@pytest.fixture
def ensemble(settings, tmp_path, monkeypatch):
    """Function (task, members, changes) that keeps untrained models of a task and returns its paths."""

    def make(task, members, **changes):
        changed = {"train.members": {name: {"train.seed": 1} for name in members}}
        chosen = settings(task, **SMALL[task], **changed, **changes)
        paths = Paths(tmp_path, task)
        for name, own in member_settings(chosen).items():
            folder = paths.fold(0, name)
            folder.mkdir(parents=True)
            model = build_task(own, CLASSES[task]).model()
            save_file(
                {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "weights.safetensors"
            )
            config = {"settings": own.model_dump(), "classes": CLASSES[task]}
            (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        entry = {"folds": [{"fold": 0}]}
        write_json(paths.models / "run.json", {**entry, "members": dict.fromkeys(members, entry)})
        monkeypatch.setattr("tropho.stages.predict.load_task", lambda task, path: chosen)
        return paths

    return make


@pytest.fixture
def blank(tmp_path):
    """A picture without any object."""
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(tmp_path / "blank.png")
    return tmp_path / "blank.png"


def test_a_picture_without_a_find_has_no_rows(ensemble, blank, tmp_path):
    paths = ensemble("smear_demo", ["other"], **{"model.score_min": 0.9})
    said = predict_files("smear_demo", [blank], tmp_path / "out.csv", paths.root)
    assert said.startswith("1 of 1 images predicted; 0 rows")
    assert pd.read_csv(tmp_path / "out.csv").empty
