"""What is half done stays until it is done, whatever else is trained meanwhile."""

from contextlib import contextmanager

import pytest

from stages.test_members import chosen, fits, paths, untracked  # noqa: F401 - fixtures
from tropho.stages import train
from tropho.tracking import Run
from tropho.training import loop

LONG = {"train.epochs": 3, "train.val_interval": 3}


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that are trained, as they begin; `epochs.kill_at` stops one as a kill would."""

    class Epochs(list):
        kill_at = None

    found = Epochs()
    train_one_epoch = loop.Trainer.train_one_epoch

    def counted(self, epoch):
        number = epoch + 1
        if number == found.kill_at:
            raise KeyboardInterrupt
        found.append(number)
        return train_one_epoch(self, epoch)

    monkeypatch.setattr(loop.Trainer, "train_one_epoch", counted)
    return found


class Recorder(Run):
    """A tracker, and its runs, whose ids are their names; lists the runs that are opened, and the epochs told."""

    id = None

    def __init__(self, name="", opened=None, steps=None):
        super().__init__()
        self.id, self.opened, self.steps = (
            name,
            opened if opened is not None else [],
            steps if steps is not None else [],
        )

    @contextmanager
    def run(self, name, experiment, run_id=None, tags=None):
        self.opened.append((name, run_id))
        yield Recorder(name, self.opened, self.steps)

    def child(self, name, run_id=None, tags=None):
        return self.run(name, "", run_id)

    def log_metrics(self, metrics, step=None):
        if step is not None:
            self.steps.append(step)


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    monkeypatch.setattr(train, "open_tracker", lambda root: made)
    return made


def stop_after_one(settings, paths, epochs):  # noqa: F811
    epochs.kill_at = 2
    with pytest.raises(KeyboardInterrupt):
        train.run(settings, paths.root)
    epochs.kill_at = None
    epochs.clear()


@pytest.mark.parametrize("change", [{"train.num_workers": 1}, {"train.log_layer_stats": True}])
def test_a_training_goes_on_with_other_workers_and_more_to_log(chosen, paths, epochs, change):  # noqa: F811
    stop_after_one(chosen(**LONG), paths, epochs)
    train.run(chosen(**LONG, **change), paths.root)
    assert epochs == [2, 3]


def test_a_setting_that_changes_weights_begins_anew(chosen, paths, epochs):  # noqa: F811
    stop_after_one(chosen(**LONG), paths, epochs)
    train.run(chosen(**LONG, **{"train.lr": 0.5}), paths.root)
    assert epochs == [1, 2, 3]


def test_success_with_other_settings_leaves_a_half_done_training(chosen, paths, epochs):  # noqa: F811
    stop_after_one(chosen(**LONG), paths, epochs)
    train.run(chosen(), paths.root)
    epochs.clear()
    train.run(chosen(**LONG), paths.root)
    assert epochs == [2, 3]
    assert not list(paths.runs.rglob("state.pt"))


@pytest.mark.fault("DVC is killed after train has ended and before it notes that", "goes on in the same MLflow run")
def test_a_training_that_is_there_keeps_its_run(chosen, paths, recorder):  # noqa: F811
    first = train.run(chosen(), paths.root)
    assert train.run(chosen(), paths.root) == first
    assert recorder.opened == [
        ("train cells_demo", None),
        ("fold0", None),
        ("train cells_demo", "train cells_demo"),
    ]
    train.run(chosen(**{"train.n_folds": 2}), paths.root)
    assert recorder.opened[3] == ("train cells_demo", None)  # another training


def test_an_epoch_whose_numbers_a_kill_kept_back_is_recorded(chosen, paths, epochs, recorder, monkeypatch):  # noqa: F811
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Recorder, "log_metrics", killed)
        train.run(chosen(**LONG), paths.root)
    train.run(chosen(**LONG), paths.root)
    assert epochs == [1, 2, 3]
    assert recorder.steps == [1, 2, 3]
