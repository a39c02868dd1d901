"""Two processes on the CPU end with what one gives, and with the same error where one of them fails."""

import os
import pickle
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache, write_cache
from tropho.models import build_model
from tropho.models.heads import mean_over_processes
from tropho.tables import BOXES, conform
from tropho.tasks import build_task
from tropho.training.devices import sync_batch_norms
from tropho.training.loop import Trainer

HERE = Path(__file__).resolve().parent
PLAIN = {
    "augment.image_size": 32,
    "augment.policy": "none",
    "train.epochs": 2,
    "train.batch_size": 4,
    "train.optimizer": "sgd",
    "train.lr": 0.01,
    "train.warmup_epochs": 0.0,
    "model.backbone": "resnet18",
    "model.pretrained": False,
}
BOXED = {
    "augment.copy_paste_prob": 0.0,
    "augment.mosaic_prob": 0.0,
    "augment.crop_size": None,
    "augment.zoom_range": [1.0, 1.0],
}
FCOS = {
    **BOXED,
    "model.fpn_channels": 16,
    "model.fpn_levels": [3, 4],
    "model.fit_levels": False,
    "model.num_head_convs": 1,
}
HF_DETR = {
    **BOXED,
    "model.name": "hf_detr",
    "model.pretrained": True,
    "model.norm": "frozen",
    "train.lr": 1e-3,
}
CASES = {
    "lenet": ("cells_demo", {"model.name": "lenet", "model.norm": "none", "train.class_weights": "balanced"}),
    "mlp": (
        "cells_demo",
        {"model.name": "mlp", "model.hidden_units": [16], "model.norm": "layer", "train.ema_decay": 0.9},
    ),
    "resnet": ("cells_demo", {"model.name": "resnet", "model.norm": "frozen", "train.freeze_backbone_epochs": 1}),
    "resnet_group": ("cells_demo", {"model.name": "resnet", "model.norm": "group"}),
    "resnet_layer": ("cells_demo", {"model.name": "resnet", "model.norm": "layer"}),
    "few": ("cells_demo", {"model.name": "lenet", "model.norm": "none", "train.batch_size": 64}),
    "fcos": ("smear_demo", {**FCOS, "model.norm": "group"}),
    "fcos_parts": ("smear_demo", {**FCOS, "model.norm": "group"}),  # two parts a process
    "fcos_layer": ("smear_demo", {**FCOS, "model.norm": "layer"}),
    "fcos_frozen": ("smear_demo", {**FCOS, "model.norm": "frozen", "train.freeze_backbone_epochs": 1}),
    "retinanet": ("smear_demo", {**BOXED, "model.name": "torchvision_retinanet", "model.norm": "frozen"}),
    "rt_detr": ("smear_demo", {**HF_DETR, "model.checkpoint": "rt_detr"}),
    "lw_detr": ("smear_demo", {**HF_DETR, "model.checkpoint": "lw_detr"}),
    "not_finite": ("cells_demo", {"model.name": "lenet", "model.norm": "none"}),
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A folder with the pack of nine pictures of 32 pixels, and their truth; the boxes are unevenly spread."""
    folder, rng = tmp_path_factory.mktemp("together"), np.random.default_rng(0)
    names = [f"{number}.png" for number in range(9)]
    for number, name in enumerate(names):
        pixels = rng.integers(0, 100, (32, 32, 3)) + 100 * (number % 3 == 0)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    images = pd.DataFrame({"image_id": names, "path": names, "label": ["a", "b", "b"] * 3})
    write_cache(images, folder, folder / "pack", 32)
    rows = [
        (f"{image}.png", "ab"[box % 2], 2.0 + box, 3.0, 18.0 + 2 * box, 20.0)
        for image in range(5)
        for box in range(image)
    ]
    boxes = conform(pd.DataFrame(rows, columns=list(BOXES)[:6]), BOXES)
    return folder, GroundTruth(images, boxes)


@pytest.fixture(scope="module")
def settings_of(settings, checkpoints):
    """settings_of(name) -> settings of a case; RT-DETR's without denoising, which draws in each process separately."""

    def make(name):
        task, changes = CASES[name]
        if "model.checkpoint" in changes:
            options = {"num_denoising": 0} if name == "rt_detr" else {}
            changes = {**changes, "model.checkpoint": str(checkpoints(changes["model.checkpoint"], **options))}
        return settings(task, **{**PLAIN, **changes})

    return make


@pytest.fixture(scope="module")
def together(truth, settings_of):
    """The folder in which two processes have trained every case, within two minutes."""
    folder, known = truth
    cases = [(name, settings_of(name), known) for name in CASES]
    (folder / "cases.pickle").write_bytes(pickle.dumps(cases))
    run_together([str(HERE / "two_processes.py"), str(folder)], cwd=folder)
    return folder


def run_together(command: list[str], cwd: Path, code: int = 0) -> str:
    """What two processes print."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TROPHO_TRACKING": "off"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode != 0) == bool(code), done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("few", "not_finite")])
def test_fit_in_two_processes_equals_one(together, truth, settings_of, name):
    folder, known = truth
    built = build_task(settings_of(name), ["a", "b"])
    alone = Trainer(built, ImageCache(folder / "pack"), known, known, 0).fit()
    keys = ("loss",) if name == "lw_detr" else ("loss", "val_loss")  # whose validation loss one process knows alone
    losses = [row[key] for key in keys for row in alone.state.history if key in row]
    assert literal_eval((together / f"{name}.losses").read_text()) == pytest.approx(losses, rel=1e-4)
    torch.testing.assert_close(load_file(together / f"{name}.safetensors"), alone.weights, rtol=1e-3, atol=2e-5)


def test_fit_divides_few_images_evenly(together):
    """Nine images: a step of eight, since a process without an image would never meet the other's gradients."""
    assert all(np.isfinite(loss) for loss in literal_eval((together / "few.losses").read_text()))


def test_fit_raises_the_same_error_in_all_processes(together):
    errors = {(together / f"not_finite.{rank}.txt").read_text() for rank in (0, 1)}
    assert len(errors) == 1
    assert errors.pop().startswith("The loss stopped being finite at epoch 1, step 2 (part: cross_entropy)")


def test_mean_over_processes_of_one():
    assert mean_over_processes(torch.tensor(3)) == 3.0
    assert mean_over_processes(torch.tensor(0), min_total=1) == 1.0


@pytest.mark.parametrize(("count", "device", "shared"), [(2, "cuda", True), (2, "cpu", False), (1, "cuda", False)])
def test_sync_batch_norms_on_cuda_only(settings, count, device, shared):
    made = settings("cells_demo", **PLAIN, **{"model.name": "resnet", "model.norm": "batch"}).model
    model = build_model(made, "classification", 2, 32)
    names = list(model.state_dict())
    ready = sync_batch_norms(model, SimpleNamespace(num_processes=count, device=torch.device(device)))
    assert any(isinstance(layer, nn.SyncBatchNorm) for layer in ready.modules()) == shared
    assert list(ready.state_dict()) == names
