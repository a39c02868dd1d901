"""The scale of an fp16 training is part of its state; here on the CPU, with a scaler that a GPU would have."""

import pytest
import torch

from tropho.tasks import build_task
from tropho.training import loop
from tropho.training.checkpoint import Checkpoint

SMALL = {
    "augment.image_size": 32,
    "augment.policy": "none",
    "train.batch_size": 4,
    "train.epochs": 3,
    "model.name": "lenet",
}


@pytest.fixture
def scaled(monkeypatch):
    """The scalers of all trainings in their order. They grow every other step by what is no power of two."""
    scalers = []
    make = loop.make_accelerator

    def made(settings):
        accelerator = make(settings)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1000.0, growth_factor=1.7, growth_interval=2)
        scalers.append(accelerator.scaler)
        return accelerator

    monkeypatch.setattr(loop, "make_accelerator", made)
    return scalers


def test_fit_resumes_the_gradient_scale(settings, data, scaled, tmp_path):
    pack, truth = data
    task = build_task(settings("cells_demo", **SMALL, **{"train.val_interval": 3}), ["a", "b"])

    def kill(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    whole = loop.Trainer(task, pack, truth, truth, 0).fit()
    with pytest.raises(KeyboardInterrupt):
        loop.Trainer(task, pack, truth, truth, 0, Checkpoint(tmp_path / "fold"), kill).fit()
    resumed = loop.Trainer(task, pack, truth, truth, 0, Checkpoint(tmp_path / "fold")).fit()
    assert scaled[0].get_scale() == scaled[2].get_scale() == pytest.approx(1000 * 1.7**3)
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)


def test_fit_starts_with_a_new_gradient_scale(settings, data, scaled):
    pack, truth = data
    task = build_task(settings("cells_demo", **SMALL), ["a", "b"])
    first, second = (loop.Trainer(task, pack, truth, truth, 0).fit() for _ in range(2))
    assert scaled[0].get_scale() == scaled[1].get_scale()
    torch.testing.assert_close(first.weights, second.weights, rtol=0, atol=0)
