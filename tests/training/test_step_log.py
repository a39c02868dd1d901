"""Lines that a training prints."""

import math
from types import SimpleNamespace

import pytest

from tropho.training.step_log import StepLog


@pytest.fixture
def lines(capsys):
    """Return what one call of a step log prints, without white space at its ends."""

    def run(name, method, *args, is_main=True):
        getattr(StepLog(name, SimpleNamespace(is_main_process=is_main), "map"), method)(*args)
        return capsys.readouterr().err.strip()

    return run


def test_epoch_prints_loss_metric_and_seconds(lines):
    row = {"epoch": 9.0, "loss": 0.5, "seconds": 12.4}
    assert lines("fold0", "epoch", row, 9) == "fold0  epoch 9/9  loss 0.5000  12 s"
    assert lines("fold0", "epoch", {**row, "score": 0.25}, 9) == "fold0  epoch 9/9  loss 0.5000  map 0.2500  12 s"
    row["val_loss"] = 0.75
    expected = "fold0  epoch 9/9  loss 0.5000  validation loss 0.7500  map 0.2500  12 s"
    assert lines("fold0", "epoch", {**row, "score": 0.25}, 9) == expected
    assert "map undefined  12 s" in lines("fold0", "epoch", {**row, "score": math.nan}, 9)


def test_time_left_counts_the_epochs_of_later_folds(capsys, monkeypatch):
    now = iter([0.0, 30.0, 90.0, 120.0])
    monkeypatch.setattr("tropho.training.step_log.time.perf_counter", lambda: next(now))
    log = StepLog("fold1", SimpleNamespace(is_main_process=True))
    log.plan([0, 1, 2, 3], 1, 4, published=[3])
    for epoch in (1.0, 2.0, 3.0):
        log.epoch({"epoch": epoch, "loss": 0.5, "seconds": 1.0}, 4)
    assert [line.rpartition("  ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "about 4 min left",  # 7 epochs of 30 seconds
        "about 4 min left",  # 6 of 45
        "about 3 min left",  # 5 of 40
    ]
    now = iter([0.0, 1.0])
    log = StepLog("fold0", SimpleNamespace(is_main_process=True))
    log.plan([0, 1], 0, 0)
    log.epoch({"epoch": 1.0, "loss": 0.5, "seconds": 1.0}, 4)
    assert capsys.readouterr().err == "fold0 (1 of 2)  epoch 1/4  loss 0.5000  1 s  under 1 min left\n"


def test_resumed_names_the_epoch(lines):
    assert lines("fold1", "resumed", 3) == "fold1  goes on after epoch 3, from its checkpoint"


@pytest.mark.parametrize(("name", "is_main"), [("", True), ("fold0", False)])
def test_nothing_is_printed_without_a_name_or_by_other_processes(lines, name, is_main):
    assert lines(name, "resumed", 3, is_main=is_main) == ""
    assert lines(name, "epoch", {"epoch": 1.0, "loss": 0.5, "seconds": 1.0}, 2, is_main=is_main) == ""
