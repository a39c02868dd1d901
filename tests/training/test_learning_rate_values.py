"""The learning rate at chosen moments, by hand."""

import math

import pytest

from tropho.training.lr_schedule import count_plateaus, lr_at


@pytest.fixture
def rates(settings):
    """Rates at some epochs of ten, as shares of the peak."""

    def at(*epochs, **changes):
        made = settings("cells_demo", **{"train.epochs": 10, **{f"train.{key}": each for key, each in changes.items()}})
        return [lr_at(made.train, epoch) / made.train.lr for epoch in epochs]

    return at


def test_one_cycle_rises_for_three_tenths_and_falls_for_the_rest(rates):
    middle, third = (1 / 25 + 1) / 2, (1 + 1e-4 / 25) / 2
    found = rates(0.0, 1.5, 3.0, 6.5, 10.0, schedule="one_cycle")
    assert found == pytest.approx([1 / 25, middle, 1.0, third, 1e-4 / 25], rel=1e-9)
    quarter = 1 + (1 / 25 - 1) * 0.5 * (1 + math.cos(math.pi / 4))
    assert rates(0.75, schedule="one_cycle") == pytest.approx([quarter], rel=1e-9)


def test_a_cosine_falls_after_the_warm_up(rates):
    found = rates(0.0, 1.0, 2.0, 4.0, 6.0, 10.0, schedule="cosine", warmup_epochs=2.0)
    assert found == pytest.approx([1e-3, 0.5, 1.0, 0.5 + 0.5 * math.cos(math.pi / 4), 0.5, 0.0], abs=1e-12)
    assert rates(5.0, 10.0, schedule="cosine", warmup_epochs=10.0) == pytest.approx([0.5, 1.0], abs=1e-12)


def test_steps_count_from_the_first_epoch_and_begin_where_the_warm_up_ends(rates):
    found = rates(1.0, 2.0, 3.9, 4.0, 9.9, schedule="step", warmup_epochs=2.0, step_epochs=2, gamma=0.5)
    assert found == pytest.approx([0.5, 0.5, 0.5, 0.25, 0.0625])
    found = rates(0.0, 1.0, 1.9, 3.0, schedule="exponential", warmup_epochs=0.0, gamma=0.9)
    assert found == pytest.approx([1.0, 0.9, 0.9, 0.729])


def test_a_rate_drops_by_gamma_for_each_plateau(settings):
    changes = {"schedule": "plateau", "warmup_epochs": 0.0, "step_epochs": 2, "gamma": 0.3, "lr": 0.1}
    train = settings("cells_demo", **{f"train.{key}": each for key, each in changes.items()}).train
    found = [lr_at(train, 5.0, scores) for scores in ([], [1.0] * 3, [1.0] * 5, [-2.0, -3.0, -1.0])]
    assert found == pytest.approx([0.1, 0.03, 0.009, 0.1])


def test_a_plateau_ends_with_a_better_score():
    assert count_plateaus([1, 1, 2, 2, 2, 2, 2], 2) == 2
    assert count_plateaus([3, 2, 1], 1) == 2
    assert count_plateaus([-1.0], 1) == 0
