"""Each fold is trained by an accelerator of its own settings, and nothing of it is left when the next one begins."""

import gc
import multiprocessing
import weakref

import pytest
import torch

from stages.test_members import OTHER, chosen, paths, untracked  # noqa: F401 - fixtures
from training.conftest import data  # noqa: F401 - a fixture
from tropho.files import read_json
from tropho.stages import train
from tropho.tasks import build_task
from tropho.tasks.classification_task import ClassificationTask
from tropho.training import loop


@pytest.fixture
def alive(monkeypatch):
    """The numbers of older models and of worker processes that are there whenever a new model is made."""
    models, found = [], []
    make = ClassificationTask.build_model

    def counted(self):
        found.append((sum(each() is not None for each in models), len(multiprocessing.active_children())))
        model = make(self)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(ClassificationTask, "build_model", counted)
    return found


def test_train_frees_model_and_workers(chosen, paths, alive):  # noqa: F811
    gc.collect()
    train.run(
        chosen(**{"train.n_folds": 2, "train.num_workers": 1, "train.ema_decay": 0.9, "train.ensemble": OTHER}),
        paths.root,
    )
    assert len(alive) >= 3
    assert set(alive) == {(0, 0)}


def test_train_frees_the_model_of_a_stopped_fold(chosen, paths, alive, monkeypatch):  # noqa: F811
    def stop(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "validate", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run(chosen(), paths.root)
    train.run(chosen(), paths.root)
    assert set(alive) == {(0, 0)}


def test_train_freezes_each_member_by_its_settings(chosen, paths, monkeypatch):  # noqa: F811
    made = []
    make = loop.make_accelerator

    def noted(settings):
        made.append(make(settings))
        return made[-1]

    monkeypatch.setattr(loop, "make_accelerator", noted)
    frozen = {"model.name": "resnet", "model.pretrained": False, "train.freeze_backbone_epochs": 1}
    train.run(chosen(**{"train.ensemble": {"frozen": frozen}}), paths.root)
    assert [each.ddp_handler.find_unused_parameters for each in made] == [False, True]


def test_train_members_of_several_precisions(settings, data):  # noqa: F811
    pack, truth = data
    found = []
    for precision in ("float32", "bf16", "float32"):
        small = {"augment.image_size": 32, "model.name": "lenet", "train.epochs": 1, "train.precision": precision}
        task = build_task(settings("cells_demo", **small), ["a", "b"])
        found.append(loop.Trainer(task, pack, truth, truth, 0).fit().weights)
    assert not torch.equal(found[0]["dense.1.weight"], found[1]["dense.1.weight"])
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=0)


def test_fingerprint_ignores_settings_without_weights(chosen, paths, alive):  # noqa: F811
    record = train.run(chosen(), paths.root)
    count = len(alive)
    same = {"train.num_workers": 2}
    assert train.run(chosen(**same), paths.root)["folds"] == record["folds"]
    assert len(alive) == count + 1  # made once to count its parameters
    logged = train.run(chosen(**{"train.log_layer_stats": True}), paths.root)
    assert len(alive) > count + 2  # trained again, since what is asked for was not measured
    assert logged["folds"][0]["sha256"]["weights.safetensors"] == record["folds"][0]["sha256"]["weights.safetensors"]
    train.run(chosen(), paths.root)
    assert read_json(paths.models / "run.json")["folds"] == logged["folds"]
