"""Images that a score is of had no part in what is scored: not in the search, and not in the training."""

import pandas as pd
import pytest

from stages.test_members import chosen, paths, untracked  # noqa: F401 - fixtures
from tropho.data.task_data import read_task_data
from tropho.errors import DataError
from tropho.files import read_json
from tropho.stages import evaluate, train, tune
from tropho.tables import IMAGES, SPLITS, read_table, write_table
from tropho.tracking import Tracker
from tropho.tuning import search

SEARCH = {"tune.trials": 2, "tune.epochs": 1, "tune.space": {"train.lr": {"choices": [1.0e-3, 1.0e-2]}}}


def group(paths, size):  # noqa: F811
    """Let `size` images in a row of each class be of one group, in two folds that have no group in common."""
    images = read_table(paths.audit / "images.csv", IMAGES)
    number = pd.Series(range(len(images)))
    images["group"] = ("g" + (number // (2 * size)).astype(str)).astype("string")
    write_table(images, paths.audit / "images.csv", IMAGES)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_whole_groups_of_the_training_images_judge(paths, size, seed):  # noqa: F811
    group(paths, size)
    inputs = read_task_data(paths)
    held = search.search_inputs(inputs, seed)
    rest, judges = held.train_val(0)
    both = [set(each.images["image_id"]) for each in (rest, judges)]
    assert both[0] | both[1] == set(inputs.folds[1])  # what the model of fold 0 is trained on
    assert not both[0] & both[1]
    assert not set(rest.images["group"]) & set(judges.images["group"])
    assert set(judges.images["label"]) == set(rest.images["label"]) == set(inputs.classes)
    assert 2 <= len(both[1]) <= 4
    assert search.search_inputs(inputs, seed).folds == held.folds


def test_one_group_alone_can_not_be_divided(paths):  # noqa: F811
    group(paths, 8)
    with pytest.raises(DataError, match=r"all of one group.*set tune\.trials to 0"):
        search.search_inputs(read_task_data(paths), 0)


def test_no_image_that_is_validated_later_chooses(chosen, paths, monkeypatch):  # noqa: F811
    monkeypatch.setattr(search, "open_tracker", lambda root: Tracker())
    monkeypatch.setattr(
        search, "MIN_OVER_CHANCE", 0.0
    )  # five images for an epoch teach nothing; the choice counts here
    seen = []
    make_trainer = search.Trainer

    def watched(task, cache, train_gt, val_gt, *rest, **options):
        seen.append([set(gt.images["image_id"]) for gt in (train_gt, val_gt)])
        return make_trainer(task, cache, train_gt, val_gt, *rest, **options)

    monkeypatch.setattr(search, "Trainer", watched)
    settings = chosen(**SEARCH, **{"tune.max_train_images": 5, "train.n_folds": None})
    assert set(tune.run(settings, paths.root)) == {"train.lr"}
    first = set(read_task_data(paths).folds[0])
    assert len(seen) == 2
    for trained, judged in seen:
        assert len(trained) == 5
        assert not first & (trained | judged)
        assert not trained & judged
    assert read_json(paths.search / "choice.json")["images"] == {"train": 5, "judge": len(seen[0][1])}


def test_models_of_other_folds_are_not_evaluated(chosen, paths):  # noqa: F811
    train.run(chosen(), paths.root)
    evaluate.run(chosen(), paths.root)
    splits = read_table(paths.splits, SPLITS)
    splits["fold"] = splits["fold"].replace({0: 1, 1: 0})
    write_table(splits, paths.splits, SPLITS)
    with pytest.raises(DataError, match=r"trained on other images, labels or folds.*tropho train cells_demo"):
        evaluate.run(chosen(), paths.root)
