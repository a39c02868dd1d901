"""One epoch of a network of two weights: rates, means, clipping and freezing, worked out by hand."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tropho.errors import DataError
from tropho.inference.predict import predict_all
from tropho.training import loop
from tropho.training.checkpoint import TrainState
from tropho.training.loop import Trainer
from tropho.training.optim import ModelEma
from tropho.training.step_log import StepLog


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
    config = SimpleNamespace(**{"freeze_backbone_epochs": 0, "clip_grad_norm": None, "epochs": 9, **train})
    return SimpleNamespace(
        settings=SimpleNamespace(train=config, has_one_shape=True),
        compute_loss=lambda model, batch: parts(model(batch["images"])),
    )


class BareTrainer(Trainer):
    """A trainer of given batches and model; its backbone learns at half the rate."""

    def __init__(self, batches, task, model, ema, layer_stats, accelerator, name=""):
        groups = [
            {"params": model.top.parameters(), "lr_scale": 1.0},
            {"params": model.body.parameters(), "lr_scale": 0.5},
        ]
        self.task, self.config, self.seed = task, task.settings.train, 0
        self.loader = [{"images": torch.tensor([[batch]])} for batch in batches]
        self.model = self.raw_model = model
        self.ema, self.layer_stats, self.accelerator = ema, layer_stats, accelerator
        self.optimizer = torch.optim.SGD(groups, lr=99.0)
        self.sampler, self.state, self.log = SimpleNamespace(), TrainState(), StepLog(name, accelerator)


@pytest.fixture
def run(monkeypatch):
    """Train one epoch of SGD: the row, the optimizer and the model."""

    def train(
        batches,
        task=None,
        epoch=0,
        lr=lambda epoch: 0.0,
        model=None,
        ema=None,
        layer_stats=None,
        accelerator=None,
        name="",
    ):
        monkeypatch.setattr(loop, "lr_at", lambda train, epoch, scores: lr(epoch))
        accelerator = accelerator or Accelerator(cpu=True)
        trainer = BareTrainer(batches, task or task_of(), model or Line(), ema, layer_stats, accelerator, name)
        return trainer.train_one_epoch(epoch), trainer.optimizer, trainer.model

    return train


def test_train_one_epoch_sets_the_rate_of_each_step_and_group(run):
    epochs = []
    row, optimizer, _ = run([1.0] * 4, epoch=2, lr=lambda epoch: epochs.append(epoch) or epoch / 10)
    assert epochs == [2.0, 2.25, 2.5, 2.75]
    assert row["lr"] == pytest.approx(0.275)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.275, 0.1375])


def test_train_one_epoch_returns_mean_losses(run):
    row, _, _ = run([1.0, 2.0, 6.0], task_of(lambda value: {"one": value, "two": 2 * value}))
    assert row["loss"] == pytest.approx(9.0)
    assert (row["loss/one"], row["loss/two"]) == pytest.approx((3.0, 6.0))
    assert 0 <= row["seconds"] < 60


def test_train_one_epoch_lists_no_parts_of_a_single_loss(run):
    row, _, _ = run([1.0])
    assert set(row) == {"loss", "grad_norm", "lr", "seconds"}


def test_train_step_clips_the_update_but_not_the_logged_norm(run):
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
    row, _, model = run([4.0], task_of(clip_grad_norm=2.0), lr=lambda epoch: 0.1, layer_stats=layers)
    assert row["grad_norm"] == pytest.approx(4 * 2**0.5)
    assert row["seen"] == 1.0
    assert layers.seen == pytest.approx([2 * 2**0.5])  # which undoes the clipping
    assert model.top.weight.item() == pytest.approx(1 - 0.1 * 2**0.5)
    assert model.body.conv1.weight.item() == pytest.approx(1 - 0.05 * 2**0.5)
    run([0.1], task_of(clip_grad_norm=2.0), layer_stats=layers)
    assert layers.seen == [1.0]  # nothing was clipped
    run([4.0], layer_stats=layers)
    assert layers.seen == [1.0]


@pytest.mark.parametrize(("epoch", "frozen"), [(0, True), (1, True), (2, False)])
def test_train_one_epoch_freezes_the_backbone_at_first(run, epoch, frozen):
    _, _, model = run([1.0], task_of(freeze_backbone_epochs=2), epoch=epoch, lr=lambda epoch: 0.1)
    assert (model.body.conv1.weight.item() == 1.0) is frozen
    assert model.top.weight.item() == pytest.approx(0.9)


def test_train_step_updates_the_average(run):
    model = Line()
    average = ModelEma(model, 0.5)
    run([1.0, 1.0, 1.0], model=model, ema=average, lr=lambda epoch: 0.1)
    assert average.n_averaged == 1 + 3
    assert average.module.top.weight.item() != 1.0


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (lambda value: {"one": value * float("nan"), "two": value}, "one"),
        (lambda value: {"one": value * float("nan"), "two": value, "three": value * float("inf")}, "one, three"),
        (lambda value: {"one": value * 5e37, "two": value * 5e37}, "sum"),
    ],
)
def test_train_step_names_the_loss_that_is_not_finite(run, parts, named):
    wrong = task_of(lambda value: parts(value) if value > 5 else {"fine": value})
    with pytest.raises(DataError, match=rf"at epoch 4, step 3 \(part: {named}\);"):
        run([1.0, 2.0, 6.0], wrong, epoch=3)


@pytest.mark.parametrize(("n_steps", "n_lines"), [(49, 0), (50, 1), (101, 2)])
def test_train_one_epoch_logs_a_line_every_50_steps(run, capsys, n_steps, n_lines):
    run([1.0] * n_steps, epoch=4, lr=lambda epoch: 0.001, name="fold1")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == n_lines
    for line in lines[:1]:
        pattern = (
            r"fold1  epoch 5/9  step 50/\d+  loss [-\d.]+  lr 1.0e-03  data \d+ ms  step \d+ ms  peak memory [\d.]+ GB"
        )
        assert re.fullmatch(pattern, line)


def test_train_one_epoch_writes_every_step_in_place_on_a_terminal(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run([1.0] * 3, name="fold0")
    assert capsys.readouterr().err.count("\r\033[K") == 4


class Two:
    """An accelerator of two processes, the other of which has a loss of zero throughout."""

    num_processes, device = 2, torch.device("cpu")

    def __init__(self) -> None:
        self.one = Accelerator(cpu=True)

    def __getattr__(self, name):
        return getattr(self.one, name)

    def reduce(self, value, reduction="sum"):
        return value / 2 if reduction == "mean" else value


def test_train_one_epoch_averages_over_processes(run):
    row, _, _ = run([4.0], accelerator=Two())
    assert row["loss"] == pytest.approx(2.0)


def test_predict_all_keeps_the_order_of_images():
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
    [[table]] = predict_all(Echo(), [model], batches, ["a", "b", "c"], None, Accelerator(cpu=True))
    assert table["value"].tolist() == [0.0, 10.0, 20.0]
    assert not model.training
