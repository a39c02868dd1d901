"""What is half done stays until it is done, whatever else is trained meanwhile."""

import pytest

from stages.test_members import chosen, fits, paths, untracked  # noqa: F401 - fixtures
from tropho.stages import train
from tropho.training import fit

LONG = {"train.epochs": 3, "train.validate_every": 3}


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that are trained, as they begin; `epochs.kill_at` stops one as a kill would."""

    class Epochs(list):
        kill_at = None

    found = Epochs()
    epoch = fit.Fold.epoch

    def counted(self, progress):
        number = len(progress.history) + 1
        if number == found.kill_at:
            raise KeyboardInterrupt
        found.append(number)
        return epoch(self, progress)

    monkeypatch.setattr(fit.Fold, "epoch", counted)
    return found


def stop_after_one(settings, paths, epochs):  # noqa: F811
    epochs.kill_at = 2
    with pytest.raises(KeyboardInterrupt):
        train.run(settings, paths.root)
    epochs.kill_at = None
    epochs.clear()


@pytest.mark.parametrize("change", [{"train.workers": 1}, {"train.log_layers": True}, {"augment.previews": 0}])
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
    assert not list(paths.runs.rglob("state.pt")) + list(paths.runs.rglob("best-*"))
