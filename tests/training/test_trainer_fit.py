"""How long a fold is trained, when it is validated and which weights are kept."""

from math import nan
from types import SimpleNamespace

import pytest
import torch

from tropho.errors import UsageError
from tropho.inference.predict import make_eval_loader
from tropho.tasks import build_task
from tropho.training.checkpoint import Checkpoint, TrainState
from tropho.training.data_loader import divisible_batch_size
from tropho.training.devices import make_accelerator
from tropho.training.loop import Trainer
from tropho.training.step_log import StepLog

MAKE = {"augment.image_size": 32, "augment.policy": "none", "model.name": "lenet"}


class CountingTrainer(Trainer):
    """A trainer whose only weight is the number of epochs, with scores given in advance."""

    def __init__(self, task, scores, checkpoint, on_epoch):
        self.config, self.checkpoint, self.on_epoch = task.settings.train, checkpoint, on_epoch
        self.accelerator = make_accelerator(self.config)
        self.log, self.state, self.best_weights = StepLog("", self.accelerator), TrainState(), {}
        self.raw_model = self.eval_model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.raw_model.weight)
        self.optimizer, self.ema = torch.optim.SGD(self.raw_model.parameters()), None
        self.scores = iter(scores)

    def train_one_epoch(self, epoch):
        with torch.no_grad():
            self.raw_model.weight += 1
        assert self.raw_model.weight.item() == epoch + 1
        return {"seconds": 1.0}

    def validate(self):
        return {"val_loss": 1.0, "score": next(self.scores)}


@pytest.fixture
def trained(settings):
    """Trains with the given scores: the epoch whose weights are kept, and the scores by epoch."""

    def run(scores, checkpoint=None, on_epoch=lambda row: None, **train):
        train = {"val_interval": 1, **train}
        task = build_task(settings("cells_demo", **{f"train.{key}": value for key, value in train.items()}), ["a", "b"])
        fold = CountingTrainer(task, scores, checkpoint, on_epoch).fit()
        assert fold.state.best_epoch == fold.weights["weight"].item()
        return fold.state.best_epoch, {int(row["epoch"]): row.get("score") for row in fold.state.history}

    return run


def test_fit_trains_all_epochs(trained):
    assert trained([0.1, 0.2, 0.3], epochs=3) == (3, {1: 0.1, 2: 0.2, 3: 0.3})
    assert trained([0.1], epochs=1) == (1, {1: 0.1})


def test_fit_keeps_the_first_of_equal_epochs(trained):
    assert trained([0.1, 0.5, 0.5, 0.4], epochs=4)[0] == 2
    assert trained([nan, 0.1, nan], epochs=3)[0] == 2
    assert trained([nan, nan, nan], epochs=3)[0] == 3


def test_fit_validates_at_the_interval_and_at_the_end(trained):
    assert trained([0.1, 0.2, 0.3], epochs=5, val_interval=2) == (5, {1: None, 2: 0.1, 3: None, 4: 0.2, 5: 0.3})
    assert trained([0.3, 0.2], epochs=4, val_interval=2)[0] == 2


def test_fit_resumes_nothing_when_finished(trained, tmp_path):
    whole = trained([0.1, 0.2], Checkpoint(tmp_path), epochs=2)
    assert trained([], Checkpoint(tmp_path), epochs=2) == whole
    assert trained([0.3], Checkpoint(tmp_path), epochs=3) == (3, {1: 0.1, 2: 0.2, 3: 0.3})


def test_fit_resumes_before_the_first_validation(trained, tmp_path):
    def kill(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained([], Checkpoint(tmp_path), kill, epochs=2, val_interval=2)
    assert trained([0.5], Checkpoint(tmp_path), epochs=2, val_interval=2) == (2, {1: None, 2: 0.5})


@pytest.mark.parametrize(
    ("patience", "scores", "epochs"),
    [
        (1, [0.5, 0.4, 0.9], 2),
        (2, [0.5, 0.4, 0.9, 0.1, 0.2, 1.0], 5),
        (2, [0.5, 0.5, 0.5, 0.5], 3),  # an equal score is no better one
        (None, [0.5, 0.4, 0.3, 0.2], 4),
        (9, [0.5, 0.4], 2),
    ],
)
def test_fit_stops_early(trained, patience, scores, epochs):
    found = trained(scores, epochs=len(scores), early_stopping_patience=patience)[1]
    assert list(found) == list(range(1, epochs + 1))


def test_fit_ignores_undefined_scores_when_stopping_early(trained):
    assert len(trained([nan, nan, nan, 0.1], epochs=4, early_stopping_patience=1)[1]) == 4


@pytest.mark.parametrize(
    ("batch_size", "n_images", "n_processes", "size"),
    [(4, 9, 1, 4), (4, 3, 1, 3), (5, 9, 2, 4), (2, 9, 2, 2), (8, 7, 3, 6)],
)
def test_divisible_batch_size_is_equal_on_all_processes(settings, batch_size, n_images, n_processes, size):
    train = settings("cells_demo", **{"train.batch_size": batch_size}).train
    assert divisible_batch_size(train, n_images, n_processes) == size


def test_divisible_batch_size_refuses_too_few_images(settings):
    train = settings("cells_demo").train
    assert divisible_batch_size(train, 2, 2) == 2
    with pytest.raises(UsageError, match="A step has 1 training images, too few for 2 processes"):
        divisible_batch_size(train, 1, 2)


@pytest.mark.parametrize(("asked", "processes", "size"), [(5, 1, 5), (5, 2, 6), (4, 2, 4), (1, 3, 3)])
def test_eval_loader_divides_batches_among_processes(settings, data, asked, processes, size):
    pack, truth = data
    accelerator = SimpleNamespace(
        num_processes=processes, device=torch.device("cpu"), prepare=lambda loader, device_placement: loader
    )
    task = build_task(settings("cells_demo", **MAKE), ["a", "b"])
    assert make_eval_loader(task, truth, pack, accelerator, asked).batch_size == size


def test_make_accelerator_follows_the_settings(settings):
    plain = make_accelerator(settings("cells_demo", **{"train.precision": "float32"}).train)
    assert plain.mixed_precision == "no"
    assert not plain.ddp_handler.find_unused_parameters
    other = make_accelerator(
        settings("cells_demo", **{"train.precision": "bf16", "train.freeze_backbone_epochs": 1}).train
    )
    assert other.mixed_precision == "bf16"
    assert other.ddp_handler.find_unused_parameters


def fold_of(settings, data, **train):
    pack, truth = data
    made = settings("cells_demo", **MAKE, **{f"train.{key}": value for key, value in train.items()})
    return Trainer(build_task(made, ["a", "b"]), pack, truth, truth, 0)


@pytest.mark.parametrize(("size", "steps"), [(3, 2), (4, 2), (8, 1), (9, 1)])
def test_trainer_drops_the_last_partial_batch(settings, data, size, steps):
    assert len(fold_of(settings, data, batch_size=size).loader) == steps  # of eight images


def test_trainer_follows_the_settings(settings, data):
    plain, other = fold_of(settings, data, ema_decay=None), fold_of(settings, data, ema_decay=0.9, sampler="balanced")
    assert (plain.sampler.balanced, other.sampler.balanced) == (False, True)
    assert plain.ema is None
    assert plain.eval_model is plain.raw_model
    assert other.eval_model is other.ema.module
    assert plain.layer_stats is None


def test_train_state_finds_scores_and_the_best_epoch():
    rows = [{"epoch": 1.0, "seconds": 2.0}, {"epoch": 2.0, "score": nan, "seconds": 3.0}]
    assert TrainState(rows).scores == []
    assert TrainState(rows).find_best() == 2
    assert TrainState(rows).seconds == 5.0
    rows += [{"epoch": 3.0, "score": -0.5, "seconds": 1.0}, {"epoch": 4.0, "score": -0.5, "seconds": 1.0}]
    assert TrainState(rows).scores == [-0.5, -0.5]
    assert TrainState(rows).find_best() == 3
    undefined = [{"epoch": float(number), "score": nan} for number in (1, 2, 3)]
    assert TrainState(undefined).find_best() == 3


def test_fit_prints_device_dtype_and_parameters(settings, data, capsys):
    pack, truth = data
    made = settings("cells_demo", **MAKE, **{"train.epochs": 1, "train.precision": "bf16"})
    n_parameters = sum(each.numel() for each in build_task(made, ["a", "b"]).build_model().parameters())
    Trainer(build_task(made, ["a", "b"]), pack, truth, truth, 0, name="fold3").fit()
    line = capsys.readouterr().err.splitlines()[0]
    device = make_accelerator(made.train).device
    assert line.startswith(f"fold3  device {device} (")
    assert line.endswith(f")  dtype bfloat16 (train.precision)  {n_parameters:,} parameters")
