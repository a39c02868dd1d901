"""Small detectors of transformers learn a handful of pictures by heart, and resume to the bit."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hf_checkpoints import ARCHITECTURES
from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache, write_cache
from tropho.inference.predict import make_eval_loader, predict_all
from tropho.tables import BOXES, conform
from tropho.tasks import build_task
from tropho.training.checkpoint import Checkpoint
from tropho.training.devices import make_accelerator
from tropho.training.loop import Trainer, add_gradients
from tropho.training.optim import build_optimizer

CLASSES = ["bright", "dark"]
PLAIN = {
    "audit.negative": None,
    "augment.image_size": 64,
    "augment.policy": "none",
    "model.name": "hf_detr",
    "model.pretrained": True,
    "train.batch_size": 4,
}
STEPS = {"rt_detr": 80, "rt_detr_v2": 80, "d_fine": 80, "lw_detr": 130, "rf_detr": 160}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Four pictures of 64 pixels with a bright and a dark square each: the cache, and their truth."""
    folder, rows = tmp_path_factory.mktemp("drawn"), []
    for number in range(4):
        rng = np.random.default_rng(number)
        pixels = rng.integers(100, 140, (64, 64, 3))
        for place, (label, level) in enumerate((("bright", 250), ("dark", 10))):
            left, top = rng.integers(2, 8, 2) + np.array([30 * place, 30 * ((place + number) % 2)])
            pixels[top : top + 22, left : left + 22] = level
            rows.append((f"{number}.png", label, *(float(each) for each in (left, top, left + 22, top + 22))))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    names = [f"{number}.png" for number in range(4)]
    images = pd.DataFrame({"image_id": names, "path": names, "label": pd.NA})
    write_cache(images, folder, folder / "cache", 64)
    return ImageCache(folder / "cache"), GroundTruth(
        images, conform(pd.DataFrame(rows, columns=list(BOXES)[:6]), BOXES)
    )


@pytest.fixture
def task(settings, checkpoints):
    """task("rt_detr", **dotted overrides) -> a detection task with that small checkpoint."""

    def make(name, **overrides):
        given = {**PLAIN, "model.checkpoint": str(checkpoints(name)), **overrides}
        return build_task(settings("smear_demo", **given), CLASSES)

    return make


@pytest.mark.parametrize(
    "name",
    [
        "rt_detr",
        "rf_detr",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("rt_detr_v2", "d_fine", "lw_detr")),
    ],
)
def test_learns_pictures_by_heart(task, drawn, name):
    """Mean average precision at IoU 0.5 above 0.9 after at most 160 steps of 4 pictures from random weights."""
    cache, gt = drawn
    made = task(name, **{"train.lr": 4.0e-3, "train.epochs": 1})
    torch.manual_seed(0)
    model, dataset = made.build_model().train(), made.build_dataset(cache, gt, train=False)
    batch = made.collate([dataset[number] for number in range(4)])
    optimizer, n_steps, history = build_optimizer(model, made.settings.train), STEPS[name], []
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4.0e-3, total_steps=n_steps, pct_start=0.1)
    for _ in range(n_steps):
        loss = torch.stack(list(made.compute_loss(model, batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        history.append(loss.item())
    assert np.mean(history[-10:]) < 0.6 * np.mean(history[:10])
    accelerator = make_accelerator(made.settings.train)
    loader = make_eval_loader(made, gt, cache, accelerator, 4)
    ((predictions,),) = predict_all(made, [model], loader, list(gt.images["image_id"]), cache, accelerator)
    assert made.score(gt, predictions) > 0.9


@pytest.mark.parametrize(("name", "changes"), [("rt_detr", {"num_denoising": 0}), ("lw_detr", {})])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(task, drawn, checkpoints, name, changes):
    """Also where one part has no boxes, and one has twice as many as the other."""
    cache, gt = drawn
    made = task(name, **{"model.norm": "frozen", "model.checkpoint": str(checkpoints(name, **changes))})
    torch.manual_seed(0)
    model, dataset = made.build_model().train(), made.build_dataset(cache, gt, train=False)
    batch = made.collate([dataset[number] for number in range(4)])
    batch["targets"][0] = {key: value[:0] if key != "ignore" else value for key, value in batch["targets"][0].items()}
    accelerator, found = make_accelerator(made.settings.train), []
    for n_parts in (1, 2, 4):
        model.zero_grad()
        losses = add_gradients(made, model, batch, accelerator, n_parts)
        grads = [each.grad.flatten() for each in model.parameters() if each.requires_grad]
        found.append((losses["sum"].item(), torch.cat(grads)))
    for loss, grads in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-4)
        assert (grads - found[0][1]).norm() < 1e-3 * found[0][1].norm()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_resumes_to_the_bit(task, drawn, tmp_path, name):
    class Killed(Exception):
        pass

    def kill(row):
        if row["epoch"] == 1:
            raise Killed

    changes = {"train.epochs": 2, "train.ema_decay": 0.9, "train.backbone_lr_scale": 0.1, "augment.policy": "light"}
    made, (cache, gt) = task(name, **changes), drawn
    whole = Trainer(made, cache, gt, gt, 0).fit()
    with pytest.raises(Killed):
        Trainer(made, cache, gt, gt, 0, Checkpoint(tmp_path), kill).fit()
    resumed = Trainer(made, cache, gt, gt, 0, Checkpoint(tmp_path)).fit()
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)
    assert [row["loss"] for row in resumed.state.history] == [row["loss"] for row in whole.state.history]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trains_in_bfloat16(task, drawn, name):
    """The loss is that of float32 but for rounding; which queries are chosen may depend on it, too."""
    cache, gt = drawn
    rows = []
    for precision in ("float32", "bf16"):
        made = task(name, **{"train.epochs": 1, "train.precision": precision})
        trained = Trainer(made, cache, gt, gt, 0).fit()
        assert all(torch.isfinite(value).all() for value in trained.weights.values())
        rows.append({key: trained.state.history[0][key] for key in ("loss", "loss/box", "val_loss")})
    assert rows[1] == pytest.approx(rows[0], rel=0.1)
    assert rows[1] != rows[0]
