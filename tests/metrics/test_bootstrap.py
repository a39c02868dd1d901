"""Grouped bootstrap intervals."""

import numpy as np
import pytest

from tropho.metrics import bootstrap
from tropho.metrics.bootstrap import draws_of_groups, with_intervals


def mean_of(values: np.ndarray):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_groups_move_together_and_keep_their_number():
    groups = np.array(["p", "q", "q", "r", "p"])
    weights = np.concatenate(list(draws_of_groups(groups, draws=50)))
    assert weights.shape == (50, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 4])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 2])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_draws_do_not_depend_on_the_block_size(monkeypatch):
    groups = np.arange(10)
    whole = np.concatenate(list(draws_of_groups(groups, draws=20)))
    monkeypatch.setattr(bootstrap, "MAX_WEIGHTS", 30)
    np.testing.assert_array_equal(np.concatenate(list(draws_of_groups(groups, draws=20))), whole)


def test_interval_of_a_mean_is_the_normal_one(rng):
    values = rng.normal(5, 2, 400)
    row = with_intervals(mean_of(values), np.arange(400), draws=2000).loc["mean"]
    error = 1.96 * values.std() / 20
    assert row["value"] == pytest.approx(values.mean(), abs=1e-12)
    assert row["low"] == pytest.approx(values.mean() - error, abs=0.15 * error)
    assert row["high"] == pytest.approx(values.mean() + error, abs=0.15 * error)


def test_the_same_groups_give_the_same_interval(rng):
    values = rng.normal(size=50)
    one, same = (with_intervals(mean_of(values), np.arange(50)) for _ in range(2))
    assert one.equals(same)


def test_one_group_has_no_interval():
    row = with_intervals(mean_of(np.arange(4.0)), ["p"] * 4).loc["mean"]
    assert row["value"] == 1.5
    assert np.isnan([row["low"], row["high"]]).all()


def test_undefined_draws_are_left_out():
    def statistic(weights):
        return {
            "some": np.where(weights[:, 0] > 0, weights[:, 0], np.nan),
            "none": np.full(len(weights), np.nan),
        }

    table = with_intervals(statistic, np.arange(5))
    assert 1 <= table.loc["some", "low"] <= table.loc["some", "high"]
    assert np.isnan(table.loc["none", ["value", "low", "high"]]).all()
    assert table["draws"]["none"] == 0 < table["draws"]["some"] < 1000
