"""The validation loss is that of the training without what is random, for batches of any size."""

import math

import pytest
import torch
from torch import nn

from labelled_batches import CASES, SMALL, labelled
from tropho.tasks import build_task
from tropho.training.devices import make_accelerator
from tropho.training.loop import Trainer, add_gradients
from tropho.training.micro_batches import ValidationLoss, split_batch

TRAIN = {
    "augment.image_size": 32, "augment.policy": "none", "model.name": "lenet", "model.norm": "batch",
    "model.dropout": 0.5, "train.batch_size": 4, "train.epochs": 3, "train.val_interval": 1,
}  # fmt: skip


def loss_of(task, model, *batches):
    loss = ValidationLoss(task, model.eval(), make_accelerator(task.settings.train))
    for batch in batches:
        loss.add(batch)
    return loss.mean()


@pytest.mark.parametrize("name", CASES)
def test_loss_is_that_of_training_for_any_batches(settings, name):
    kind, changes = CASES[name]
    task = build_task(settings(kind, **SMALL, **changes), ["a", "b"])
    torch.manual_seed(0)
    model, batch = task.build_model().train(), labelled(task)
    expected = add_gradients(task, model, batch, make_accelerator(task.settings.train))["sum"].item()
    assert loss_of(task, model, batch) == pytest.approx(expected, rel=1e-5)  # no dropout, no batch norm
    assert loss_of(task, model, *split_batch(batch, 5)) == pytest.approx(expected, rel=1e-5)
    assert math.isnan(loss_of(task, model))


def test_dropout_is_off_and_norms_keep_their_statistics(settings):
    changes = {"model.name": "resnet", "model.norm": "batch", "model.dropout": 0.9}
    task = build_task(settings("cells_demo", **{**SMALL, **changes}), ["a", "b"])
    model, batch = task.build_model(), labelled(task)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert loss_of(task, model, batch) == loss_of(task, model, batch)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert not any(layer.training for layer in model.modules())


def test_a_full_memory_makes_smaller_parts(settings):
    task = build_task(settings("cells_demo", **{**SMALL, "model.name": "lenet", "model.norm": "none"}), ["a", "b"])
    model, batch = task.build_model(), labelled(task)
    whole, compute = loss_of(task, model, batch), task.compute_loss

    def limited(model: nn.Module, batch):
        if len(batch["images"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return compute(model, batch)

    task.compute_loss = limited
    assert loss_of(task, model, batch) == pytest.approx(whole, rel=1e-5)


def test_an_error_leaves_the_model_in_evaluation_mode(settings):
    task = build_task(settings("cells_demo", **{**SMALL, "model.name": "lenet"}), ["a", "b"])
    model = task.build_model()
    batch = labelled(task)
    del batch["targets"]
    with pytest.raises(KeyError):
        loss_of(task, model, batch)
    assert not any(layer.training for layer in model.modules())


def test_weights_don_t_depend_on_the_validation_loss(settings, data, monkeypatch):
    pack, truth = data
    task = build_task(settings("cells_demo", **TRAIN), ["a", "b"])
    with_loss = Trainer(task, pack, truth, truth, seed=1).fit()
    monkeypatch.setattr(ValidationLoss, "add", lambda self, batch: None)
    without = Trainer(task, pack, truth, truth, seed=1).fit()
    torch.testing.assert_close(with_loss.weights, without.weights, rtol=0, atol=0)
    rows = [[{**row, "seconds": 0} for row in fold.state.history] for fold in (with_loss, without)]
    assert all(math.isfinite(row.pop("val_loss")) for row in rows[0])
    assert all(math.isnan(row.pop("val_loss")) for row in rows[1])
    assert rows[0] == rows[1]
