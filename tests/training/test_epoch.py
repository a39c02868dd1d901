"""One epoch by hand: rates, means, clipping and freezing, without a network worth the name."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tropho.errors import DataError
from tropho.inference.predict import predict_all
from tropho.training import loop
from tropho.training.ema import ModelEma
from tropho.training.loop import train_one_epoch


class Line(nn.Module):
    """y = weight * x, once from a backbone and once from what lies on top of it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.conv1 = nn.Linear(1, 1, bias=False)
        self.top = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.body.conv1.weight)
        nn.init.ones_(self.top.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(self.body.conv1(x)).mean()


def task_of(parts=lambda value: {"only": value}, **train):
    chosen = SimpleNamespace(**{"freeze_epochs": 0, "clip_norm": None, **train})
    return SimpleNamespace(
        settings=SimpleNamespace(train=chosen), loss=lambda model, batch: parts(model(torch.tensor([[batch]])))
    )


def run(batches, task=None, epoch=0, rate=lambda epoch: 0.0, model=None, average=None, layers=None, accelerator=None):
    """An epoch of SGD whose backbone learns at half the rate; the row, the optimizer and the model."""
    model = model or Line()
    groups = [{"params": model.top.parameters(), "share": 1.0}, {"params": model.body.parameters(), "share": 0.5}]
    optimizer = torch.optim.SGD(groups, lr=99.0)
    accelerator = accelerator or Accelerator(cpu=True)
    row = train_one_epoch(task or task_of(), model, batches, optimizer, rate, average, accelerator, epoch, layers)
    return row, optimizer, model


def test_the_rate_of_a_step_is_that_of_the_epochs_done_its_fraction_included():
    asked = []
    row, optimizer, _ = run([1.0] * 4, epoch=2, rate=lambda epoch: asked.append(epoch) or epoch / 10)
    assert asked == [2.0, 2.25, 2.5, 2.75]
    assert row["lr"] == pytest.approx(0.275)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.275, 0.1375])


def test_losses_are_means_over_the_steps():
    row, _, _ = run([1.0, 2.0, 6.0], task_of(lambda value: {"one": value, "two": 2 * value}))
    assert row["loss"] == pytest.approx(9.0)
    assert (row["loss/one"], row["loss/two"]) == pytest.approx((3.0, 6.0))
    assert 0 <= row["seconds"] < 60


def test_a_loss_of_one_part_has_no_parts():
    row, _, _ = run([1.0])
    assert set(row) == {"loss", "grad_norm", "lr", "seconds"}


def test_clipping_bounds_the_step_but_not_the_norm_that_is_told():
    """At weights of one the gradient by each weight is the input, so that the norm is sqrt(2) times it."""

    class Scales:
        def __init__(self):
            self.seen = []

        def start(self):
            self.seen = []

        def after_backward(self, scale):
            self.seen.append(scale)

        def finish(self):
            return {"seen": 1.0}

    layers = Scales()
    row, _, model = run([4.0], task_of(clip_norm=2.0), rate=lambda epoch: 0.1, layers=layers)
    assert row["grad_norm"] == pytest.approx(4 * 2**0.5)
    assert row["seen"] == 1.0
    assert layers.seen == pytest.approx([2 * 2**0.5])  # which undoes the clipping
    assert model.top.weight.item() == pytest.approx(1 - 0.1 * 2**0.5)
    assert model.body.conv1.weight.item() == pytest.approx(1 - 0.05 * 2**0.5)
    run([0.1], task_of(clip_norm=2.0), layers=layers)
    assert layers.seen == [1.0]  # nothing was clipped
    run([4.0], layers=layers)
    assert layers.seen == [1.0]


@pytest.mark.parametrize(("epoch", "frozen"), [(0, True), (1, True), (2, False)])
def test_a_backbone_is_frozen_for_so_many_epochs(epoch, frozen):
    _, _, model = run([1.0], task_of(freeze_epochs=2), epoch=epoch, rate=lambda epoch: 0.1)
    assert (model.body.conv1.weight.item() == 1.0) is frozen
    assert model.top.weight.item() == pytest.approx(0.9)


def test_the_average_follows_every_step():
    model = Line()
    average = ModelEma(model, 0.5)
    run([1.0, 1.0, 1.0], model=model, average=average, rate=lambda epoch: 0.1)
    assert average.updates == 3
    assert average.model.top.weight.item() != 1.0


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (lambda value: {"one": value * float("nan"), "two": value}, "one"),
        (lambda value: {"one": value * float("nan"), "two": value, "three": value * float("inf")}, "one, three"),
        (lambda value: {"one": value * 5e37, "two": value * 5e37}, "sum"),
    ],
)
def test_the_part_and_the_step_that_are_not_finite_are_named(parts, named):
    wrong = task_of(lambda value: parts(value) if value > 5 else {"fine": value})
    with pytest.raises(DataError, match=rf"at epoch 4, step 3 \(part: {named}\);"):
        run([1.0, 2.0, 6.0], wrong, epoch=3)


def test_the_epoch_is_shown_by_its_number(monkeypatch):
    shown = []
    monkeypatch.setattr(loop, "track", lambda batches, what: shown.append(what) or batches)
    run([1.0], epoch=4)
    assert shown == ["epoch 5"]


class Two:
    """An accelerator of two processes, the other of which has a loss of zero throughout."""

    num_processes, device = 2, torch.device("cpu")

    def __init__(self) -> None:
        self.one = Accelerator(cpu=True)

    def __getattr__(self, name):
        return getattr(self.one, name)

    def reduce(self, value, reduction="sum"):
        return value / 2 if reduction == "mean" else value


def test_a_row_is_the_mean_over_the_processes():
    row, _, _ = run([4.0], accelerator=Two())
    assert row["loss"] == pytest.approx(2.0)


def test_predictions_are_in_the_order_of_the_images():
    class Echo:
        def predict(self, model, batch, view):
            return [{"value": each} for each in batch["images"]]

        def to_table(self, outputs, image_ids, sizes):
            return pd.DataFrame({"image_id": image_ids, "value": [float(each["value"]) for each in outputs]})

    batches = [
        {"index": torch.tensor([2, 0]), "images": torch.tensor([20.0, 0.0])},
        {"index": torch.tensor([1]), "images": torch.tensor([10.0])},
    ]
    model = Line().train()
    table = predict_all(Echo(), model, batches, ["a", "b", "c"], None, Accelerator(cpu=True))
    assert table["value"].tolist() == [0.0, 10.0, 20.0]
    assert not model.training
