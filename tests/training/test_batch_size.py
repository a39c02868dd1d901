"""`train.batch_size: auto` becomes the number of images that the memory holds."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from tropho.data.task_data import TaskData
from tropho.errors import UsageError
from tropho.tasks import build_task
from tropho.training import training_plan
from tropho.training.training_plan import largest_batch, with_batch_size

AUTO = {
    "augment.image_size": 32, "augment.policy": "none", "model.name": "lenet", "model.norm": "none",
    "train.batch_size": "auto",
}  # fmt: skip


@pytest.fixture
def inputs(data):
    """Eight images in two folds of four."""
    pack, gt = data
    ids = list(gt.images["image_id"])
    return TaskData(gt, {0: ids[:4], 1: ids[4:]}, [], pack, ["a", "b"], "hash")


def test_a_number_stays(settings, inputs):
    made = settings("cells_demo", **{**AUTO, "train.batch_size": 5})
    assert with_batch_size(made, inputs) is made


def test_auto_on_a_cpu_is_a_constant_or_all_images(settings, inputs, monkeypatch, capsys):
    made = settings("cells_demo", **AUTO)
    assert with_batch_size(made, inputs).train.batch_size == 4
    assert "train.batch_size auto: 4 images a step on cpu" in capsys.readouterr().err
    monkeypatch.setattr(training_plan, "CPU_IMAGES", 3)
    assert with_batch_size(made, inputs).train.batch_size == 3


def test_auto_is_kept_for_a_training_that_is_resumed(settings, inputs, monkeypatch, tmp_path):
    made, file = settings("cells_demo", **AUTO), tmp_path / "run" / "batch_size.json"
    assert with_batch_size(made, inputs, file).train.batch_size == 4
    monkeypatch.setattr(training_plan, "CPU_IMAGES", 2)
    assert with_batch_size(made, inputs, file).train.batch_size == 4


def test_auto_is_for_one_process(settings, inputs, monkeypatch):
    monkeypatch.setattr(training_plan, "make_accelerator", lambda train: SimpleNamespace(num_processes=2))
    with pytest.raises(UsageError, match="'auto' is for one process"):
        with_batch_size(settings("cells_demo", **AUTO), inputs)


@pytest.mark.parametrize(("limit", "size"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (100, 8)])
def test_largest_batch_doubles_until_the_memory_is_full(settings, data, limit, size):
    pack, gt = data
    task = build_task(settings("cells_demo", **AUTO), ["a", "b"])
    compute = task.compute_loss

    def compute_loss(model, batch):
        if len(batch["images"]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(model, batch)

    task.compute_loss = compute_loss
    assert largest_batch(task, pack, gt, Accelerator(cpu=True)) == size


def test_largest_batch_leaves_a_reserve(settings, data, monkeypatch):
    pack, gt = data
    shares = iter([0.5, 0.95])
    monkeypatch.setattr(training_plan, "_peak_share", lambda device: next(shares))
    task = build_task(settings("cells_demo", **AUTO), ["a", "b"])
    assert largest_batch(task, pack, gt, Accelerator(cpu=True)) == 2


def test_largest_batch_has_a_limit(settings, data, monkeypatch):
    pack, gt = data
    monkeypatch.setattr(training_plan, "MAX_IMAGES", 3)
    task = build_task(settings("cells_demo", **AUTO), ["a", "b"])
    assert largest_batch(task, pack, gt, Accelerator(cpu=True)) == 3


def test_auto_passes_the_checks_of_other_settings(settings, inputs):
    made = settings("cells_demo", **{**AUTO, "model.name": "resnet", "model.norm": "batch"})
    with pytest.raises(ValueError, match="not fitted yet"):
        _ = made.train.images_per_step
    from tropho.training.training_fingerprint import check_trainable

    check_trainable(made, replace(inputs, folds={0: inputs.folds[0], 1: inputs.folds[1]}))
