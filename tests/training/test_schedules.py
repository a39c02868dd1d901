import math

import pytest
import torch

from tropho.training.lr_schedule import count_plateaus, lr_at


@pytest.fixture
def train(settings):
    def make(**changes):
        return settings("cells_demo", **{f"train.{key}": value for key, value in changes.items()}).train

    return make


def test_one_cycle_equals_torch(train):
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


def test_warm_up_is_linear_and_then_gives_the_peak(train):
    settings = train(schedule="constant", lr=0.1, epochs=10, warmup_epochs=2.0)
    assert lr_at(settings, 1.0) == pytest.approx(0.05)
    assert 0 < lr_at(settings, 0.0) < 0.001
    assert lr_at(settings, 2.0) == pytest.approx(0.1)
    assert lr_at(settings, 9.9) == pytest.approx(0.1)


def test_cosine_falls_to_nothing(train):
    settings = train(schedule="cosine", lr=0.1, epochs=10, warmup_epochs=0.0)
    assert lr_at(settings, 0.0) == pytest.approx(0.1)
    assert lr_at(settings, 5.0) == pytest.approx(0.05)
    assert lr_at(settings, 10.0) == pytest.approx(0.0, abs=1e-12)


def test_step_and_exponential_drop_by_decay_rate(train):
    step = train(schedule="step", lr=1.0, epochs=10, warmup_epochs=0.0, decay_epochs=3, decay_rate=0.1)
    assert [lr_at(step, epoch) for epoch in (0.0, 2.9, 3.0, 6.5)] == pytest.approx([1, 1, 0.1, 0.01])
    exponential = train(schedule="exponential", lr=1.0, epochs=10, warmup_epochs=0.0, decay_rate=0.5)
    assert lr_at(exponential, 3.2) == pytest.approx(0.125)


def test_plateau_drops_after_waiting(train):
    settings = train(schedule="plateau", lr=1.0, epochs=10, warmup_epochs=0.0, decay_epochs=2, decay_rate=0.1)
    assert lr_at(settings, 3.0, [0.5, 0.6, 0.6]) == pytest.approx(1.0)
    assert lr_at(settings, 4.0, [0.5, 0.6, 0.6, 0.59]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("scores", "drops"),
    [([], 0), ([1.0], 0), ([1, 1, 1], 1), ([1, 1, 1, 1, 1], 2), ([1, 1, 2, 2, 2], 1), ([math.nan, 1, 1], 0)],
)
def test_plateaus_counts_patience(scores, drops):
    assert count_plateaus(scores, 2) == drops
