"""How an epoch ends where the loss is no number."""

import pytest

from tropho.errors import DataError
from tropho.tasks import build_task
from tropho.training.trainer import fit

SMALL = {"augment.image_size": 32, "augment.policy": "none", "train.batch_size": 4, "train.epochs": 2}


def test_a_loss_that_is_not_finite_is_named_with_its_step(settings, data):
    pack, truth = data
    made = settings("cells_demo", **SMALL, **{"train.warmup_epochs": 0.0, "train.optimizer": "sgd"})
    made = made.model_copy(update={"train": made.train.model_copy(update={"lr": 1e30})})  # settings refuse it
    with pytest.raises(DataError, match=r"stopped being finite at epoch 1, step 2 \(part: \w+\); lower train.lr"):
        fit(build_task(made, ["a", "b"]), pack, truth, truth, 0)
