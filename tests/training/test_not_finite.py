"""Training with a learning rate at which the loss overflows."""

import pytest

from tropho.errors import DataError
from tropho.tasks import build_task
from tropho.training.loop import Trainer

SMALL = {"augment.image_size": 32, "augment.policy": "none", "train.batch_size": 4, "train.epochs": 2}


def test_fit_names_the_step_of_a_loss_that_is_not_finite(settings, data):
    pack, truth = data
    made = settings("cells_demo", **SMALL, **{"train.warmup_epochs": 0.0, "train.optimizer": "sgd"})
    made = made.model_copy(update={"train": made.train.model_copy(update={"lr": 1e30})})  # settings refuse it
    with pytest.raises(DataError, match=r"stopped being finite at epoch 1, step 2 \(part: \w+\); lower train.lr"):
        Trainer(build_task(made, ["a", "b"]), pack, truth, truth, 0).fit()
