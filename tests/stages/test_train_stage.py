"""Parts of the stage train, without a training."""

from types import SimpleNamespace

import pytest

from tropho.errors import UsageError
from tropho.inference import ensemble_members
from tropho.paths import BASE
from tropho.stages import train
from tropho.training import training_plan


def folds(*scores):
    return [{"fold": number, "score": score} for number, score in enumerate(scores)]


def test_mean_score_skips_undefined():
    assert train.mean_score(folds(0.25, None, 0.75)) == 0.5
    assert train.mean_score(folds(0.0, 0.5, 1.0, 0.5)) == 0.5
    assert train.mean_score(folds(None)) is None


@pytest.mark.parametrize(("asked", "numbers"), [(None, [0, 1, 4]), (1, [0]), (3, [0, 1, 4])])
def test_fold_numbers_are_the_first(settings, asked, numbers):
    data = SimpleNamespace(folds={4: [], 0: [], 1: []})
    assert training_plan.fold_numbers(settings("cells_demo", **{"train.n_folds": asked}), data) == numbers
    with pytest.raises(UsageError, match=r"train\.n_folds is 4, but split\.n_folds made only 3"):
        training_plan.fold_numbers(settings("cells_demo", **{"train.n_folds": 4}), data)


def test_member_records():
    record = {"folds": [1], "members": {"b": {"folds": [2]}}}
    assert ensemble_members.member_records(record) == {BASE: record, "b": {"folds": [2]}}


@pytest.mark.parametrize(("batch", "processes", "fits"), [(4, 2, True), (5, 2, False), (4, 4, True), (1, 1, True)])
def test_check_machine_divides_the_batch(settings, monkeypatch, batch, processes, fits):
    monkeypatch.setattr(training_plan, "this_process", lambda: SimpleNamespace(num_processes=processes))
    model = SimpleNamespace(name="base", settings=settings("cells_demo", **{"train.batch_size": batch}))
    if fits:
        training_plan.check_machine([model])
        return
    with pytest.raises(UsageError, match=r"train\.batch_size 5 of base can't be divided among 2"):
        training_plan.check_machine([model])
