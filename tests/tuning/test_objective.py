"""Data and trials of a search, without a training."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import DataError, UsageError
from tropho.paths import Paths
from tropho.tables import BOXES, empty
from tropho.tuning import search


def grouped(*sizes):
    """TaskData of two folds, the second of groups of these sizes."""
    names = [f"{group}{number}" for group, size in zip("pqrstuv", sizes, strict=False) for number in range(size)]
    images = pd.DataFrame({"image_id": ["x", *names], "label": pd.NA, "width": 10, "height": 10})
    images["group"] = images["image_id"].str[0]
    return TaskData(GroundTruth(images, empty(BOXES)), {0: ["x"], 1: names}, [], None, [], "hash")


def test_a_search_is_judged_by_the_part_nearest_to_its_due_size():
    inputs = search.search_inputs(grouped(40, 18, 12, 12, 18), 0)
    assert {each[0] for each in inputs.folds[0]} in ({"q"}, {"t"}, {"u"})
    assert len(inputs.folds[0]) == 18
    assert len(inputs.folds[1]) == 82
    two = search.search_inputs(grouped(5, 6), 0)
    assert sorted(map(len, two.folds.values())) == [5, 6]
    with pytest.raises(DataError, match="are all of one group"):
        search.search_inputs(grouped(5), 0)


@pytest.mark.parametrize(("asked", "count"), [(None, 9), (4, 4), (9, 9), (20, 9)])
def test_trials_train_on_some_images(settings, asked, count):
    made = settings("cells_demo", **{"tune.max_train_images": asked})
    drawn = search._sample_images([str(number) for number in range(9)], made)
    assert len(set(drawn)) == len(drawn) == count
    assert drawn == search._sample_images([str(number) for number in range(9)], made)


def test_a_search_runs_in_one_process(settings, monkeypatch):
    monkeypatch.setattr(search, "this_process", lambda: SimpleNamespace(num_processes=2))
    with pytest.raises(UsageError, match="tune runs in one process"):
        search.tune(settings("cells_demo"), None, None)
    monkeypatch.setattr(search, "this_process", lambda: SimpleNamespace(num_processes=1))
    with pytest.raises(DataError, match=r"images\.csv"):  # goes on to read its inputs
        search.tune(settings("cells_demo"), Paths(Path("nowhere"), "t"), None)


def test_a_trial_reports_epochs_that_are_scored(settings, monkeypatch):
    reported, logged, named = [], [], []

    def trainer(task, cache, train_gt, val_gt, seed, on_epoch, start):
        assert list(train_gt.images["image_id"]) == ["p1"]
        assert list(val_gt.images["image_id"]) == ["x"]
        on_epoch({"epoch": 1.0, "loss": 0.5})
        on_epoch({"epoch": 2.0, "loss": 0.25, "score": 0.75})
        state = SimpleNamespace(best_score=0.75)
        return SimpleNamespace(fit=lambda: SimpleNamespace(state=state))

    class Report:
        number, parameters = 4, {"train.lr": 0.1}

        def __call__(self, *call):
            reported.append(call)

    tracked = SimpleNamespace(
        log_params=logged.append,
        log_metrics=lambda *call: logged.append(call),
        system_metrics=nullcontext,
        rename=named.append,
    )
    parent = SimpleNamespace(child=lambda name, tags: nullcontext(tracked))
    monkeypatch.setattr(search, "Trainer", trainer)
    monkeypatch.setattr(search, "build_task", lambda *_: None)
    monkeypatch.setattr(search, "fitted_settings", lambda made, _: made)
    found = search._train_trial(settings("cells_demo"), Report(), grouped(2), ["p1"], parent)
    assert found == 0.75
    assert reported == [(2, 0.75)]
    assert named == ["trial 4: lr 0.1 (0.7500)"]
    assert logged == [{"train.lr": 0.1}, ({"loss": 0.5}, 1), ({"loss": 0.25, "score": 0.75}, 2)]
