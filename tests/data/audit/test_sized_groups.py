"""The test of groups: Fisher's where groups are single images, and no more false alarms than it claims."""

from math import comb

import numpy as np
import pytest
from scipy.stats import hypergeom

from tropho.data.audit.missing_labels import group_size_exact_test


def counts(*groups: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(images, labelled) by group -> sizes and labelled."""
    sizes, labelled = np.array(groups).T
    return sizes, labelled


def test_single_images_are_fishers(rng):
    for _ in range(50):
        here, elsewhere = (rng.integers(0, 2, rng.integers(1, 40)) for _ in range(2))
        shown = hypergeom(len(here) + len(elsewhere), here.sum() + elsewhere.sum(), len(here))
        p, least = group_size_exact_test(np.ones_like(here), here, np.ones_like(elsewhere), elsewhere)
        assert p == pytest.approx(shown.cdf(here.sum()), rel=1e-9)
        assert least == pytest.approx(shown.cdf(shown.support()[0]), rel=1e-9)


def test_a_group_is_held_against_those_that_are_no_smaller():
    elsewhere = counts((4, 3), (6, 1), (1, 0), (1, 0), (1, 1))
    # Four of six images, one of them labelled, show nothing in C(5, 4) of C(6, 4) draws.
    expected = (1 + 0 + comb(5, 4) / comb(6, 4)) / 3
    assert group_size_exact_test(*counts((4, 0)), *elsewhere)[0] == pytest.approx(expected, rel=1e-9)
    # A group of one is held against all; of the large ones, 1/4 and 5/6 of the images are without the class.
    assert group_size_exact_test(*counts((1, 0)), *elsewhere)[0] == pytest.approx((1 + 1 / 4 + 5 / 6 + 2) / 6, rel=1e-9)


def test_of_a_large_group_as_many_images_count_as_a_third_elsewhere_have():
    elsewhere = counts(*[(1, 1)] * 4, *[(5, 5)] * 2)
    assert group_size_exact_test(*counts((50, 0)), *elsewhere)[0] == pytest.approx(1 / 3, rel=1e-9)
    assert group_size_exact_test(*counts((50, 45)), *elsewhere)[0] == 1.0


def test_no_p_value_is_below_one_in_the_ways_to_choose():
    many = counts(*[(8, 8)] * 39)
    assert group_size_exact_test(*counts((30, 0), (9, 0)), *many)[0] == pytest.approx(1 / comb(41, 2), rel=1e-9)
    assert group_size_exact_test(*counts((8, 0), (3, 0)), *many)[0] == pytest.approx(1 / comb(41, 2), rel=1e-9)
    assert group_size_exact_test(*counts((7, 0), (5, 0), (3, 0), (2, 0)), *many) == pytest.approx(
        (1 / comb(43, 4),) * 2, rel=1e-9
    )
    assert group_size_exact_test(*counts((30, 0)), np.zeros(0, int), np.zeros(0, int)) == (1.0, 1.0)


def test_large_groups_without_the_class_are_stronger_evidence():
    elsewhere = counts(*[(1, 0)] * 8, *[(1, 1)] * 12, *[(5, 4)] * 20)
    large, small = (group_size_exact_test(*counts(*[(size, 0)] * 3), *elsewhere)[0] for size in (5, 1))
    assert large == pytest.approx(1 / comb(23, 3), rel=1e-9)
    assert small > 50 * large


def mixed(rng: np.random.Generator, number: int) -> np.ndarray:
    return np.where(rng.random(number) < 0.35, 1, rng.integers(1, 11, number))


def of(size: int):
    return lambda rng, number: np.full(number, size)


@pytest.mark.parametrize(
    ("k", "here", "elsewhere", "rates"),
    [
        (10, of(1), of(10), lambda rng, n: np.full(n, 0.2)),  # many images alone against whole slides
        (6, of(3), of(12), lambda rng, n: rng.beta(0.3, 1, n)),
        (2, of(8), mixed, lambda rng, n: np.where(rng.random(n) < 0.14, 0, 0.8)),  # some slides have no white cell
        (3, mixed, mixed, lambda rng, n: rng.beta(0.6, 0.6, n)),
        (12, mixed, mixed, lambda rng, n: rng.beta(0.3, 2, n)),
    ],
)
def test_no_more_false_alarms_than_it_claims(rng, k, here, elsewhere, rates):
    """Nothing is left out; slides differ in rate, and sizes hang on the value. 1,000 worlds, 20 groups elsewhere."""
    found = []
    for _ in range(1000):
        sizes, others, rate = here(rng, k), elsewhere(rng, 20), rates(rng, k + 20)
        found.append(
            group_size_exact_test(sizes, rng.binomial(sizes, rate[:k]), others, rng.binomial(others, rate[k:]))[0]
        )
    for level in (0.2, 0.05, 0.01):
        assert np.mean(np.array(found) <= level) <= level


def test_no_more_false_alarms_where_a_value_has_groups_of_all_sizes(rng):
    """Which slides are without the class is drawn anew each time; how many are is fixed, as the test takes it."""
    sizes, others = np.array([9, 7, 5, 3]), np.full(20, 10)
    found = []
    for _ in range(4000):
        shows = rng.permutation(24) >= 6
        found.append(group_size_exact_test(sizes, sizes * shows[:4], others, others * shows[4:])[0])
    attained, times = np.unique(found, return_counts=True)
    allowed = attained * 4000
    assert (np.cumsum(times) <= allowed + 4 * np.sqrt(allowed)).all()
    assert attained[0] == pytest.approx(comb(6, 4) / comb(24, 4), rel=1e-9)
