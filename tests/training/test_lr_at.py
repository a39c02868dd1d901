"""Learning-rate schedules against torch and by hand."""

import math

import pytest
import torch

from tropho.training.optim import count_plateaus, lr_at


@pytest.fixture
def train(settings):
    def make(**changes):
        return settings("cells_demo", **{f"train.{key}": value for key, value in changes.items()}).train

    return make


def test_lr_at_one_cycle_equals_torch(train):
    steps, lr = 40, 0.3
    settings = train(schedule="one_cycle", lr=lr, epochs=steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    # torch counts a total of steps whose last one is at the end of the schedule
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps + 1, pct_start=0.3)
    for step in range(steps + 1):
        ours = lr_at(settings, float(step))
        # torch's rise ends at step 0.3 * total - 1, ours at 0.3 * total: they agree where both are past or at 0
        if step in (0, steps):
            assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < steps:
            reference.step()
    peak = max(lr_at(settings, step / 10) for step in range(10 * steps))
    assert peak == pytest.approx(lr, rel=1e-9)


def test_lr_at_warms_up_linearly(train):
    settings = train(schedule="constant", lr=0.1, epochs=10, warmup_epochs=2.0)
    assert lr_at(settings, 1.0) == pytest.approx(0.05)
    assert 0 < lr_at(settings, 0.0) < 0.001
    assert lr_at(settings, 2.0) == pytest.approx(0.1)
    assert lr_at(settings, 9.9) == pytest.approx(0.1)


def test_lr_at_cosine_falls_to_zero(train):
    settings = train(schedule="cosine", lr=0.1, epochs=10, warmup_epochs=0.0)
    assert lr_at(settings, 0.0) == pytest.approx(0.1)
    assert lr_at(settings, 5.0) == pytest.approx(0.05)
    assert lr_at(settings, 10.0) == pytest.approx(0.0, abs=1e-12)


def test_lr_at_step_and_exponential_drop_by_decay_rate(train):
    step = train(schedule="step", lr=1.0, epochs=10, warmup_epochs=0.0, decay_epochs=3, decay_rate=0.1)
    assert [lr_at(step, epoch) for epoch in (0.0, 2.9, 3.0, 6.5)] == pytest.approx([1, 1, 0.1, 0.01])
    exponential = train(schedule="exponential", lr=1.0, epochs=10, warmup_epochs=0.0, decay_rate=0.5)
    assert lr_at(exponential, 3.2) == pytest.approx(0.125)


def test_lr_at_plateau_drops_after_patience(train):
    settings = train(schedule="plateau", lr=1.0, epochs=10, warmup_epochs=0.0, decay_epochs=2, decay_rate=0.1)
    assert lr_at(settings, 3.0, [0.5, 0.6, 0.6]) == pytest.approx(1.0)
    assert lr_at(settings, 4.0, [0.5, 0.6, 0.6, 0.59]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("scores", "drops"),
    [([], 0), ([1.0], 0), ([1, 1, 1], 1), ([1, 1, 1, 1, 1], 2), ([1, 1, 2, 2, 2], 1), ([math.nan, 1, 1], 0)],
)
def test_count_plateaus(scores, drops):
    assert count_plateaus(scores, 2) == drops


@pytest.fixture
def rates(settings):
    """Rates at some epochs of ten, as shares of the peak."""

    def at(*epochs, **changes):
        made = settings("cells_demo", **{"train.epochs": 10, **{f"train.{key}": each for key, each in changes.items()}})
        return [lr_at(made.train, epoch) / made.train.lr for epoch in epochs]

    return at


def test_lr_at_one_cycle_by_hand(rates):
    middle, third = (1 / 25 + 1) / 2, (1 + 1e-4 / 25) / 2
    found = rates(0.0, 1.5, 3.0, 6.5, 10.0, schedule="one_cycle")
    assert found == pytest.approx([1 / 25, middle, 1.0, third, 1e-4 / 25], rel=1e-9)
    quarter = 1 + (1 / 25 - 1) * 0.5 * (1 + math.cos(math.pi / 4))
    assert rates(0.75, schedule="one_cycle") == pytest.approx([quarter], rel=1e-9)


def test_lr_at_cosine_follows_the_warmup(rates):
    found = rates(0.0, 1.0, 2.0, 4.0, 6.0, 10.0, schedule="cosine", warmup_epochs=2.0)
    assert found == pytest.approx([1e-3, 0.5, 1.0, 0.5 + 0.5 * math.cos(math.pi / 4), 0.5, 0.0], abs=1e-12)
    assert rates(5.0, 10.0, schedule="cosine", warmup_epochs=10.0) == pytest.approx([0.5, 1.0], abs=1e-12)


def test_lr_at_step_counts_from_the_first_epoch(rates):
    found = rates(1.0, 2.0, 3.9, 4.0, 9.9, schedule="step", warmup_epochs=2.0, decay_epochs=2, decay_rate=0.5)
    assert found == pytest.approx([0.5, 0.5, 0.5, 0.25, 0.0625])
    found = rates(0.0, 1.0, 1.9, 3.0, schedule="exponential", warmup_epochs=0.0, decay_rate=0.9)
    assert found == pytest.approx([1.0, 0.9, 0.9, 0.729])


def test_lr_at_drops_by_decay_rate_for_each_plateau(settings):
    changes = {"schedule": "plateau", "warmup_epochs": 0.0, "decay_epochs": 2, "decay_rate": 0.3, "lr": 0.1}
    train = settings("cells_demo", **{f"train.{key}": each for key, each in changes.items()}).train
    found = [lr_at(train, 5.0, scores) for scores in ([], [1.0] * 3, [1.0] * 5, [-2.0, -3.0, -1.0])]
    assert found == pytest.approx([0.1, 0.03, 0.009, 0.1])


def test_count_plateaus_restarts_with_a_better_score():
    assert count_plateaus([1, 1, 2, 2, 2, 2, 2], 2) == 2
    assert count_plateaus([3, 2, 1], 1) == 2
    assert count_plateaus([-1.0], 1) == 0
