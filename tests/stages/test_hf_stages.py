"""A detector of transformers through the stages, alone and beside another; the hub is needed for training alone."""

import json
import shutil

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from data.sources.hub_server import HubRepo
from drawn import QUICK, draw_cells
from hf_checkpoints import files_of

TASK = "cells"
REPO = "somebody/detector"


@pytest.fixture
def published(hub, checkpoints, monkeypatch):
    """A hub with a small RF-DETR, whose files a run may fetch."""
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    hub.repos[REPO] = HubRepo({"main": files_of(checkpoints("rf_detr"))})
    return hub


def add(project, **sections):
    folder = project.root / "cells"
    rows = draw_cells(folder, {**{f"c{number}": "cell" for number in range(8)}, "empty0": None, "empty1": None})
    rows.to_csv(folder / "Train.csv", index=False)
    audit = {"format": "boxes_csv", "negative": "NEG", **sections.pop("audit", {})}
    split = {"n_folds": 2, "test_fraction": 0.2}
    project.add(TASK, "detection", download={"path": str(folder)}, audit=audit, **{**QUICK, "split": split, **sections})


def test_an_ensemble_is_trained_from_a_hub_and_predicts_without_it(project, published, monkeypatch):
    member = {"model.name": "hf_detr", "model.checkpoint": REPO, "model.pretrained": True, "train.lr": 1.0e-3}
    add(project, train={**QUICK["train"], "ensemble": {"detr": member}})
    project.run(TASK, "download", "audit", "split", "augment", "tune", "train")
    config = yaml.safe_load((project.root / "models" / TASK / "detr" / "fold0" / "config.yaml").read_text())
    record = config["settings"]["model"]["checkpoint"]
    assert (record["name"], record["revision"]) == (REPO, published.repos[REPO].commit("main"))
    assert record["network"]["id2label"] == {"0": "cell"}
    published.repos.clear()
    monkeypatch.setenv("HF_HUB_CACHE", str(project.root / "nothing"))
    project.run(TASK, "evaluate", "submit", "report")
    metrics = json.loads((project.root / "reports" / TASK / "evaluate" / "metrics.json").read_text())
    assert "leaderboard_map" in metrics["oof"]
    (project.root / "new").mkdir()
    draw_cells(project.root / "new", {"x": "cell"})
    project.tropho("predict", TASK, project.root / "new" / "images" / "x.png", "--out", project.root / "found.csv")
    assert set(pd.read_csv(project.root / "found.csv")["Image_ID"]) == {"x.png"}


def test_a_checkpoint_that_does_not_fit_stops_a_training_with_one_sentence(project, published):
    files = published.repos[REPO].files(published.repos[REPO].commit("main"))
    files["config.json"] = files["config.json"].replace(b'"d_model": 32', b'"d_model": 64')
    add(project, model={"name": "hf_detr", "checkpoint": REPO, "pretrained": True})
    project.run(TASK, "download", "audit", "split", "augment", "tune")
    said = project.tropho("train", TASK, code=3).stderr.strip().splitlines()[-1]
    assert f"The checkpoint '{REPO}@" in said
    assert "has in another shape" in said


def test_a_training_starts_from_another_one_s_folder(project, published, checkpoints):
    """At no rate, all but the outputs of a class of another name stay the first training's; the hub has no weights."""
    published.repos["somebody/network"] = HubRepo({"main": files_of(checkpoints("rf_detr", weights=False))})
    model = {"name": "hf_detr", "checkpoint": REPO, "pretrained": True}
    train = {**QUICK["train"], "lr": 1.0e-3, "warmup_epochs": 0.0}
    add(project, model=model, train=train)
    project.run(TASK, "download", "audit", "split", "augment", "tune", "train")
    first = project.root / "models" / TASK / "fold0"
    shutil.copytree(first, project.root / "elsewhere")
    model = {**model, "checkpoint": "somebody/network", "weights": "elsewhere"}
    class_map = {"class_map": {"cell": "thing"}}
    add(project, audit=class_map, model=model, train={**train, "lr": 1.0e-30})
    project.run(TASK, "download", "audit", "split", "augment", "tune")
    said = project.tropho("train", TASK).stderr
    assert "starts from" in said
    assert "; outputs for thing start anew" in said
    given, now = (load_file(folder / "weights.safetensors") for folder in (project.root / "elsewhere", first))
    changed = {name for name, value in given.items() if not torch.allclose(value, now[name], atol=1e-6)}
    assert changed == {name for name in given if "class_embed" in name}
