"""A detector that trains on some of the images without boxes, through plan, check, train and search."""

import pytest

from tropho.commands.check import check_task
from tropho.data.task_data import read_task_data
from tropho.errors import DataError, UsageError
from tropho.files import read_json
from tropho.stages import evaluate, train
from tropho.tables import write_table
from tropho.tracking import Tracker
from tropho.training.loop import Trainer
from tropho.training.training_plan import plan_models
from tropho.tuning.space import parse_space

SMALL = {
    "model.fpn_channels": 8,
    "model.norm": "frozen",
    "audit.missing_labels": "none",
    "augment.image_size": 64,
    "augment.policy": "none",
    "train.epochs": 1,
    "train.batch_size": 2,
    "train.n_folds": 2,
    "evaluate.gallery_images": 0,
}
EMPTY = {"train.ensemble": {"empty": {"model.name": "negative_classifier", "augment.image_size": 32}}}


@pytest.fixture
def chosen(settings):
    """chosen(**dotted overrides) -> settings that train a tiny detector on a third of the empty images."""
    return lambda **changes: settings("smear_demo", **{**SMALL, "train.empty_fraction": 0.34, **changes})


def images_of(model, fold):
    return [len(gt.images) for gt in model.data.train_val(fold)]


def test_each_model_has_the_images_that_its_kind_learns_from(chosen, smear_paths):
    """Of a fold's three images with boxes and three without, a detector sees four and the classifier six."""
    data = read_task_data(smear_paths)
    base, empty = plan_models(chosen(**EMPTY), data, smear_paths)
    for fold in (0, 1):
        assert images_of(base, fold) == [4, 6]
        assert images_of(empty, fold) == [6, 6]
    keys = {
        plan_models(chosen(**{"train.empty_fraction": share}), data, smear_paths)[0].fingerprint
        for share in (0.0, 0.34, 1.0)
    }
    assert len(keys) == 3


@pytest.mark.parametrize("sampler", ["shuffle", "balanced"])
def test_an_epoch_draws_from_the_images_that_are_left(chosen, smear_paths, sampler):
    made = chosen(**{"train.sampler": sampler})
    (model,) = plan_models(made, read_task_data(smear_paths), smear_paths)
    train_gt, val_gt = model.data.train_val(0)
    trainer = Trainer(model.task, model.data.cache, train_gt, val_gt, 0)
    assert len(trainer.sampler) == 4
    assert len(trainer.loader) == 2
    assert sorted(set(trainer.sampler.strata)) == ["", '["WBC"]']
    trainer.accelerator.free_memory()


def test_check_train_and_evaluate_agree_on_them(chosen, smear_paths, monkeypatch):
    for stage in (train, evaluate):
        monkeypatch.setattr(stage, "open_tracker", lambda root: Tracker())
    monkeypatch.setattr("tropho.training.overfit.MAX_SECONDS", 0.0)
    settings, logged = chosen(**{"train.empty_fraction": 0.0}), []
    assert any("targets" in line for line in check_task(settings, smear_paths.root))
    monkeypatch.setattr(train, "data_sets", lambda name, data, fold=None: logged.append((data, fold)) or [])
    record = train.run(settings, smear_paths.root)
    assert [fold["fold"] for fold in record["folds"]] == [0, 1]
    data = next(data for data, fold in logged if fold == 0)
    assert set(data.train_val(0)[0].images["image_id"]) == set(data.train_val(0)[0].boxes["image_id"])
    again = train.run(settings, smear_paths.root)
    assert again["folds"] == record["folds"]  # taken from runs/
    assert evaluate.run(settings, smear_paths.root)["oof"]
    assert len(read_json(smear_paths.evaluate / "metrics.json")["folds"]) == 2


def test_without_any_box_there_is_nothing_to_train_on(chosen, smear_paths):
    data = read_task_data(smear_paths)
    write_table(data.gt.boxes.head(0), smear_paths.audit / "boxes.csv")
    with pytest.raises(DataError, match=r"no image to train on.*no boxes, which train\.empty_fraction leaves out"):
        plan_models(chosen(**{"train.empty_fraction": 0.0}), read_task_data(smear_paths), smear_paths)


def test_it_is_for_detection_and_the_same_in_all_trials(settings):
    with pytest.raises(UsageError, match=r"train\.empty_fraction is for detection"):
        settings("cells_demo", **{"train.empty_fraction": 0.5})
    with pytest.raises(UsageError, match="train on the same images"):
        parse_space(settings("smear_demo", **{"tune.space": {"train.empty_fraction": {"choices": [0.0, 1.0]}}}))
