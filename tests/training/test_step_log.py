"""Lines that a training prints."""

import math
from types import SimpleNamespace

import pytest

from tropho.training.step_log import StepLog


@pytest.fixture
def lines(capsys):
    """Return what one call of a step log prints, without white space at its ends."""

    def run(name, method, *args, is_main=True):
        getattr(StepLog(name, SimpleNamespace(is_main_process=is_main)), method)(*args)
        return capsys.readouterr().err.strip()

    return run


def test_epoch_prints_loss_score_and_seconds(lines):
    row = {"epoch": 2.0, "loss": 0.5, "seconds": 12.4}
    assert lines("fold0", "epoch", row, 9) == "fold0  epoch 2/9  loss 0.5000  12 s"
    assert lines("fold0", "epoch", {**row, "score": 0.25}, 9) == "fold0  epoch 2/9  loss 0.5000  score 0.2500  12 s"
    assert "score undefined  12 s" in lines("fold0", "epoch", {**row, "score": math.nan}, 9)


def test_resumed_names_the_epoch(lines):
    assert lines("fold1", "resumed", 3) == "fold1  goes on after epoch 3, from its checkpoint"


@pytest.mark.parametrize(("name", "is_main"), [("", True), ("fold0", False)])
def test_nothing_is_printed_without_a_name_or_by_other_processes(lines, name, is_main):
    assert lines(name, "resumed", 3, is_main=is_main) == ""
    assert lines(name, "epoch", {"epoch": 1.0, "loss": 0.5, "seconds": 1.0}, 2, is_main=is_main) == ""
