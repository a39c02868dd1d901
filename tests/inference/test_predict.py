"""Each image is decoded once for all views and folds, and the tables are those of one pass each."""

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache, write_cache
from tropho.inference.predict import make_eval_loader, predict_all
from tropho.tables import BOXES, empty
from tropho.tasks import build_task

VIEWS = ["identity", "hflip", "rot90@1.25"]
SMALL = {
    "augment.image_size": 64, "model.backbone": "resnet18", "model.pretrained": False, "model.fpn_channels": 16,
    "model.fpn_levels": [3, 4], "model.fit_levels": False, "model.num_head_convs": 1, "model.score_threshold": 0.0,
    "model.max_detections": 5, "model.norm": "group",
}  # fmt: skip


@pytest.fixture
def images(tmp_path):
    """Five pictures of noise and of three sizes: the cache, and their table."""
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        size = (40 + 12 * (number % 3), 64, 3)
        Image.fromarray(rng.integers(0, 255, size).astype(np.uint8)).save(tmp_path / name)
    table = pd.DataFrame({"image_id": names, "path": names, "label": ["a", "b", "a", "b", "a"]})
    write_cache(table, tmp_path, tmp_path / "pack", 64)
    return ImageCache(tmp_path / "pack"), GroundTruth(table, empty(BOXES))


def predict(task, models, gt, cache, accelerator, batch_size, views):
    loader = make_eval_loader(task, gt, cache, accelerator, batch_size)
    return predict_all(task, models, loader, list(gt.images["image_id"]), cache, accelerator, views)


def models_of(task, n_folds):
    models = []
    for fold in range(n_folds):
        torch.manual_seed(fold)
        models.append(task.build_model())
    return models


@pytest.mark.parametrize(("kind", "name"), [("smear_demo", "fcos"), ("cells_demo", "lenet")])
def test_predict_decodes_each_image_once(settings, images, monkeypatch, kind, name):
    cache, gt = images
    own = {} if name == "fcos" else {"model.norm": "none"}
    task = build_task(settings(kind, **{**SMALL, **own, "model.name": name}), ["a", "b"])
    models, accelerator = models_of(task, 2), Accelerator(cpu=True)
    apart = [[predict(task, [model], gt, cache, accelerator, 2, [view])[0][0] for view in VIEWS] for model in models]
    decoded, read = [], ImageCache.__getitem__
    monkeypatch.setattr(ImageCache, "__getitem__", lambda self, key: decoded.append(key) or read(self, key))
    together = predict(task, models, gt, cache, accelerator, 2, VIEWS)
    assert len(decoded) == len(gt.images)
    assert [len(views) for views in together] == [3, 3]
    for one, other in zip(apart, together, strict=True):
        for expected, table in zip(one, other, strict=True):
            pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert not together[0][0].equals(together[1][0])


def test_predict_goes_on_in_parts_where_memory_ends(settings, images):
    cache, gt = images
    task = build_task(settings("smear_demo", **SMALL, **{"model.name": "fcos"}), ["a", "b"])
    [model], accelerator = models_of(task, 1), Accelerator(cpu=True)
    [whole] = predict(task, [model], gt, cache, accelerator, 5, VIEWS)
    forward = model.forward

    def limited(images, *more):
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(images, *more)

    model.forward = limited
    [parts] = predict(task, [model], gt, cache, accelerator, 5, VIEWS)
    for expected, table in zip(whole, parts, strict=True):
        pd.testing.assert_frame_equal(table, expected, rtol=1e-4, atol=1e-3)


def test_tiles_go_on_in_parts_where_memory_ends(settings, images):
    cache, gt = images
    tiled = {"predict.tile_size": 32, "predict.batch_size": 4, "model.name": "fcos"}
    task = build_task(settings("smear_demo", **SMALL, **tiled), ["a", "b"])
    [model], accelerator = models_of(task, 1), Accelerator(cpu=True)
    [[whole]] = predict(task, [model], gt, cache, accelerator, 4, ["identity"])
    forward, seen = model.forward, []

    def limited(images, *more):
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        seen.append(len(images))
        return forward(images, *more)

    model.forward = limited
    [[parts]] = predict(task, [model], gt, cache, accelerator, 4, ["identity"])
    assert len(seen) > len(gt.images)
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("num_workers", "reused", "kept"), [(0, True, False), (2, True, True), (2, False, False)])
def test_eval_loader_keeps_its_workers(settings, images, num_workers, reused, kept):
    cache, gt = images
    task = build_task(settings("cells_demo", **{"train.num_workers": num_workers}), ["a", "b"])
    loader = make_eval_loader(task, gt, cache, Accelerator(cpu=True), 2, reused)
    assert loader.persistent_workers is kept
    assert loader.pin_memory is False


def test_predict_all_of_no_image(settings, images):
    cache, _ = images
    task = build_task(settings("smear_demo", **SMALL, **{"model.name": "fcos"}), ["a", "b"])
    tables = predict_all(task, models_of(task, 2), [], [], cache, Accelerator(cpu=True), ["identity", "hflip"])
    assert [[len(table) for table in views] for views in tables] == [[0, 0], [0, 0]]
