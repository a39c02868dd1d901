"""How long a fold is trained, when it is validated, which weights are kept: with a fold that only counts."""

from math import nan
from types import SimpleNamespace

import pytest
import torch

from tropho.errors import UsageError
from tropho.inference.predict import predict
from tropho.tasks import build_task
from tropho.training import trainer as module
from tropho.training.checkpoint import Checkpoint, TrainState
from tropho.training.trainer import Trainer, fit, make_accelerator

MAKE = {"augment.image_size": 32, "augment.policy": "none", "model.name": "lenet"}


class Counting:
    """Stands for a Trainer: its only weight is the number of epochs that it was trained."""

    def __init__(self, *_):
        self.judged = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.judged.weight)

    def epoch(self, progress):
        with torch.no_grad():
            self.judged.weight += 1
        return {"seconds": 1.0}

    def state(self):
        return {"model": self.judged.state_dict()}

    def load(self, state):
        self.judged.load_state_dict(state["model"])


@pytest.fixture
def trained(settings, monkeypatch):
    """Trains a counting fold that is scored as told: the epoch whose weights are kept, the scores by epoch."""

    def run(scores, checkpoint=None, on_epoch=lambda row: None, **train):
        train = {"val_interval": 1, **train}
        task = build_task(settings("cells_demo", **{f"train.{key}": value for key, value in train.items()}), ["a", "b"])
        told = iter(scores)
        monkeypatch.setattr(module, "Trainer", Counting)
        monkeypatch.setattr(module, "validate", lambda *_: next(told))
        fitted = fit(task, None, None, None, 0, checkpoint, on_epoch)
        assert fitted.progress.best_epoch == fitted.weights["weight"].item()
        return fitted.progress.best_epoch, {int(row["epoch"]): row.get("score") for row in fitted.progress.history}

    return run


def test_there_are_as_many_epochs_as_are_asked_for(trained):
    assert trained([0.1, 0.2, 0.3], epochs=3) == (3, {1: 0.1, 2: 0.2, 3: 0.3})
    assert trained([0.1], epochs=1) == (1, {1: 0.1})


def test_the_first_of_equal_epochs_is_kept(trained):
    assert trained([0.1, 0.5, 0.5, 0.4], epochs=4)[0] == 2
    assert trained([nan, 0.1, nan], epochs=3)[0] == 2
    assert trained([nan, nan, nan], epochs=3)[0] == 3


def test_some_epochs_and_the_last_are_validated(trained):
    assert trained([0.1, 0.2, 0.3], epochs=5, validate_every=2) == (5, {1: None, 2: 0.1, 3: None, 4: 0.2, 5: 0.3})
    assert trained([0.3, 0.2], epochs=4, validate_every=2)[0] == 2


def test_a_finished_training_goes_on_no_more(trained, tmp_path):
    whole = trained([0.1, 0.2], Checkpoint(tmp_path), epochs=2)
    assert trained([], Checkpoint(tmp_path), epochs=2) == whole
    assert trained([0.3], Checkpoint(tmp_path), epochs=3) == (3, {1: 0.1, 2: 0.2, 3: 0.3})


def test_a_training_killed_before_its_first_validation_goes_on(trained, tmp_path):
    def kill(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained([], Checkpoint(tmp_path), kill, epochs=2, validate_every=2)
    assert trained([0.5], Checkpoint(tmp_path), epochs=2, validate_every=2) == (2, {1: None, 2: 0.5})


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
def test_patience_ends_a_training(trained, patience, scores, epochs):
    found = trained(scores, epochs=len(scores), patience=patience)[1]
    assert list(found) == list(range(1, epochs + 1))


def test_undefined_scores_do_not_count_for_patience(trained):
    assert len(trained([nan, nan, nan, 0.1], epochs=4, patience=1)[1]) == 4


@pytest.mark.parametrize(
    ("asked", "images", "processes", "size"), [(4, 9, 1, 4), (4, 3, 1, 3), (5, 9, 2, 4), (2, 9, 2, 2), (8, 7, 3, 6)]
)
def test_a_step_has_as_many_images_on_each_process(settings, asked, images, processes, size):
    train = settings("cells_demo", **{"train.batch_size": asked}).train
    assert module._batch_size(train, images, processes) == size


def test_too_few_images_for_the_processes_are_refused(settings):
    train = settings("cells_demo").train
    assert module._batch_size(train, 2, 2) == 2
    with pytest.raises(UsageError, match="A step has 1 training images, too few for 2 processes"):
        module._batch_size(train, 1, 2)


@pytest.mark.parametrize(("asked", "processes", "size"), [(5, 1, 5), (5, 2, 6), (4, 2, 4), (1, 3, 3)])
def test_predictions_are_made_in_batches_that_the_processes_share(settings, data, monkeypatch, asked, processes, size):
    pack, truth = data
    accelerator = SimpleNamespace(num_processes=processes, prepare=lambda loader: loader)
    monkeypatch.setattr(module, "predict_all", lambda task, model, loader, *_: loader.batch_size)
    task = build_task(settings("cells_demo", **MAKE), ["a", "b"])
    assert predict(task, None, truth, pack, accelerator, asked) == size


def test_accelerators_are_made_by_the_settings(settings):
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
    return Trainer(build_task(made, ["a", "b"]), truth, pack, make_accelerator(made.train), 0)


@pytest.mark.parametrize(("size", "steps"), [(3, 2), (4, 2), (8, 1), (9, 1)])
def test_what_fills_no_step_is_left_out_of_an_epoch(settings, data, size, steps):
    assert len(fold_of(settings, data, batch_size=size).loader) == steps  # of eight images


def test_a_fold_is_made_by_the_settings(settings, data):
    plain, other = fold_of(settings, data, ema=None), fold_of(settings, data, ema=0.9, sampler="balanced")
    assert (plain.sampler.balanced, other.sampler.balanced) == (False, True)
    assert plain.average is None
    assert plain.judged is not other.judged is other.average.model
    assert plain.layers is None


def test_scores_and_the_best_epoch_of_a_progress():
    rows = [{"epoch": 1.0, "seconds": 2.0}, {"epoch": 2.0, "score": nan, "seconds": 3.0}]
    assert TrainState(rows).scores == []
    assert TrainState(rows).find_best() == 2
    assert TrainState(rows).seconds == 5.0
    rows += [{"epoch": 3.0, "score": -0.5, "seconds": 1.0}, {"epoch": 4.0, "score": -0.5, "seconds": 1.0}]
    assert TrainState(rows).scores == [-0.5, -0.5]
    assert TrainState(rows).find_best() == 3
    undefined = [{"epoch": float(number), "score": nan} for number in (1, 2, 3)]
    assert TrainState(undefined).find_best() == 3
