"""What decides where a group goes, by hand: what it holds, who goes first, which of several orders counts."""

import numpy as np
import pandas as pd
import pytest

from tropho.data.split import folds
from tropho.data.split.folds import STRATA_WEIGHT, StratificationTargets, assign_folds, stratification_targets


def test_what_groups_hold_as_shares_of_what_a_part_should():
    """Two targets count for half each, strata for STRATA_WEIGHT by their size."""
    amounts = pd.DataFrame({"images": [1.0, 1.0, 1.0, 1.0], "boxes": [3.0, 0.0, 1.0, 0.0]})
    held = folds._group_loads(np.array([0, 0, 1, 2]), StratificationTargets(amounts, np.array(["x", "y", "x", "x"])), 3)
    images, boxes = np.array([2, 1, 1]) / 4, np.array([3, 1, 0]) / 4
    x, y = np.array([1, 1, 1]) / 3, np.array([1, 0, 0])
    weights = np.sqrt([1 / 2, 1 / 2, STRATA_WEIGHT * 3 / 4, STRATA_WEIGHT * 1 / 4])
    np.testing.assert_allclose(held, 3 * np.stack([images, boxes, x, y], axis=1) * weights, atol=1e-12)


def test_large_groups_go_first(monkeypatch):
    monkeypatch.setattr(folds, "MAX_ORDERS", 1)
    monkeypatch.setattr(folds, "JITTER", 0.0)
    group = pd.Series([*range(10), *["large"] * 10])
    images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": "a"})
    assert np.bincount(assign_folds(group, stratification_targets(images, pd.DataFrame(), 2), 2, seed=0)).tolist() == [
        10,
        10,
    ]


def uneven_photos(seed: int) -> tuple[pd.Series, StratificationTargets]:
    rng = np.random.default_rng(seed)
    groups = pd.Series(np.repeat(np.arange(12), rng.integers(1, 5, 12)))
    strata = rng.choice(["x", "y", "z"], len(groups))
    return groups, StratificationTargets(pd.DataFrame({"images": np.ones(len(groups))}), strata)


def quality(groups: pd.Series, traits: StratificationTargets, part: np.ndarray, parts: int) -> tuple[float, float]:
    """Largest deviation of a part from the mean, and the sum of squared amounts."""
    held = folds._group_loads(np.arange(len(groups)), traits, parts)
    totals = np.stack([held[part == number].sum(axis=0) for number in range(parts)])
    return round(float(traits.imbalance(part).abs().to_numpy().max()), 6), round(float((totals**2).sum()), 6)


def test_of_more_orders_the_best_counts(monkeypatch):
    for seed in range(6):
        groups, traits = uneven_photos(seed)
        found = []
        for tries in range(1, 9):
            monkeypatch.setattr(folds, "MAX_ORDERS", tries)
            found.append(quality(groups, traits, assign_folds(groups, traits, 3, seed), 3))
        assert found == sorted(found, reverse=True)


def together(part: np.ndarray) -> list[list[bool]]:
    """Which images are in one part, whatever it is called."""
    return (part[:, None] == part).tolist()


def test_an_order_that_is_no_better_changes_nothing(monkeypatch):
    groups = pd.Series(range(9))
    traits = StratificationTargets(pd.DataFrame({"images": np.ones(9)}), np.full(9, "x"))
    many = assign_folds(groups, traits, 3, seed=0)
    monkeypatch.setattr(folds, "MAX_ORDERS", 1)
    assert together(assign_folds(groups, traits, 3, seed=0)) == together(many)


@pytest.mark.parametrize(("work", "tries"), [(12, 1), (35, 2), (36, 3), (0, 1)])
def test_many_groups_are_dealt_in_fewer_orders(monkeypatch, work, tries):
    groups, traits = uneven_photos(3)
    drawn = []
    plain = folds._assign_greedy
    monkeypatch.setattr(folds, "_assign_greedy", lambda *given: drawn.append(1) or plain(*given))
    monkeypatch.setattr(folds, "MAX_WORK", work)
    assign_folds(groups, traits, 3, seed=0)
    assert len(drawn) == tries
