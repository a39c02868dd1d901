"""Metric, threshold and groups of slides on numbers worked by hand."""

import numpy as np
import pandas as pd
import pytest

from tropho.data.audit import slides
from tropho.data.audit.slide_features import NAMES
from tropho.data.audit.slides import DistanceThreshold, fit_threshold

FEATURES = [name for names in NAMES.values() for name in names]


def test_standardize_by_hand():
    values, varied = slides.standardize(
        np.array([[0, 7.0], [2, 7], [4, 7], [10, 7], [12, 7], [20, 7], [99, 7]]), np.array(list("aaabbbb"))
    )
    # medians 2 and 16: -2, 0, 2, -6, -4, 4, 83, of which 4 is the median size
    assert varied.tolist() == [True, False]
    assert values[:, 0] == pytest.approx(np.array([-2, 0, 2, -6, -4, 4, np.inf]).clip(-35.5824, 35.5824) / (1.4826 * 4))


def test_mutual_neighbours_by_hand():
    points = np.array([[0.0], [1], [5], [5.5], [6.1], [100]])
    first, second = slides.mutual_neighbours(points, np.array(list("aaaaaa")))
    assert (first.tolist(), second.tolist()) == ([0, 2], [1, 3])
    first, second = slides.mutual_neighbours(points, np.array(list("ababac")))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 3), (2, 4)]
    assert slides.mutual_neighbours(points[:, :0], np.zeros(6))[0].size == 0


def test_agreeing_features_by_hand(rng):
    slide, noise = np.repeat(rng.normal(size=60), 2), rng.normal(size=120)
    values = np.stack([slide, 5 * slide + rng.normal(0, 0.05, 120), noise, 0.9 * slide + 0.4 * noise], axis=1)
    agree = slides.agreeing_features(values[:, :3], np.array(["a", "b", "c"]), np.zeros(120))
    assert agree.tolist() == [True, True, False]


def test_metrics_of_one_feature_by_hand():
    values = np.array([[0.0], [2], [10], [12]])
    # within: 4 squares of 1 by 4 - 2 degrees of freedom; in all: 104 / 3
    assert slides.refined_metric(values, np.array([0, 0, 1, 1])) ** 2 == pytest.approx(1 / 2 - 3 / 104)
    assert slides.refined_metric(values, np.array([0, 0, 1, 2])) is None
    pairs = np.array([[0.0], [1], [10], [12], [20], [23]])
    within, total = (1 + 4 + 9) / 6, pairs.var(ddof=1)
    assert slides.initial_metric(pairs, np.zeros(6)) ** 2 == pytest.approx(1 / within - 1 / total)
    alone = np.array([[0.0], [3], [7]])
    assert slides.initial_metric(alone, np.array(list("abc"))) == pytest.approx(1 / alone.std())


def test_refined_metric_shrinks_correlation():
    values = np.array([[0.0, 0], [1, 2], [2, 1], [6, 9], [7, 7], [9, 8]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    factor = slides.refined_metric(values, labels)
    rest = values - np.array([[1, 1]] * 3 + [[22 / 3, 8]] * 3)
    off = np.array([[1, 0.9], [0.9, 1]])
    within, total = off * (rest.T @ rest / 4), off * np.cov(values.T)
    weight, vectors = np.linalg.eigh(np.linalg.inv(within) - np.linalg.inv(total))
    assert factor @ factor.T == pytest.approx(vectors @ np.diag(weight.clip(0)) @ vectors.T, rel=1e-5)


def test_null_features_permute_values(rng):
    values = rng.normal(5, 2, (30, 1))
    null = slides.null_features(values, rng)
    assert np.sort(null, axis=0) == pytest.approx(np.sort(values, axis=0))
    assert not np.allclose(null, values)


def test_fit_threshold_by_hand():
    distances = np.array([1, 2, 3, 4, 5, 6, 20, 21, 22, 23, 24, 25.0])
    chance = np.array([3.5, 20, 21, 22, 23, 24])
    # Beyond the median of 21.5 lie 4 of 12: 2 / 3 of the pairs are wide. At 6: 1/2 are below, 2/3 of 1/6 wrongly.
    cut = fit_threshold(distances, chance, 24)
    assert cut.value == 6
    assert cut.gain == pytest.approx(24 * (1 / 2 - 2 / 9))
    assert cut.false_share == pytest.approx((1 / 9) / (1 / 2))
    assert (
        fit_threshold(distances, np.array([]), 24)
        == fit_threshold(np.array([]), chance, 24)
        == DistanceThreshold(0.0, 0.0, 0.0)
    )
    far = fit_threshold(np.array([9.0, 9, 9]), np.array([1.0, 2, 3]), 3)
    assert far.gain == -3  # all are wide, and all of chance lies below


def test_average_linkage_by_hand():
    strata = np.array(list("abaabcb"))
    places = np.array([[0.0], [0], [1], [9], [5], [0], [5.5]])
    groups = slides._average_linkage(slides.pair_distances(places, strata), strata, 2.0)
    assert len(set(groups)) == 5
    assert groups[0] == groups[2] != groups[3]
    assert groups[4] == groups[6] != groups[1]
    assert sorted(set(groups.tolist())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("groups", "cut", "words"),
    [
        ([0, 0, 1, 1], DistanceThreshold(1, 4.0, 1 / 3), ""),
        (
            [0, 0, 1, 1],
            DistanceThreshold(1, 3.9, 0.0),
            "an image has 1.0 look-alikes beyond chance on average, under 1",
        ),
        ([0, 0, 1, 1], DistanceThreshold(1, 2.0, 0.0), "an image has 0.5 look-alikes"),
        ([0, 0, 1, 1], DistanceThreshold(1, 4.0, 0.34), "of the pairs that look alike, 34% do so by chance"),
        ([0, 0, 0, 1], DistanceThreshold(1, 4.0, 0.0), "more than half"),
    ],
)
def test_doubt_names_the_reason(groups, cut, words):
    doubt = slides._doubt(np.array(groups), cut)
    assert doubt.startswith(words) or words in doubt
    assert bool(doubt) == bool(words)


def test_slides_in_words():
    result = slides.Slides(list("abcdef"), np.array([0, 1, 1, 2, 2, 2]), threshold=DistanceThreshold(1.2345, 9, 0.1))
    assert result.sizes.tolist() == [3, 2]
    assert result.sentence == (
        "5 of 6 images look as if from 2 slides of 2 to 3 images; about 10% of the pairs below the "
        "threshold are there by chance."
    )
    none = slides.Slides(["a"], np.array([0]), "too few")
    assert (none.count, none.sentence) == (0, "No slides were found by content: too few.")
    assert slides.Slides([], np.empty(0, int), "too few").sizes.size == 0


@pytest.mark.parametrize(("count", "few"), [(59, True), (60, False)])
def test_cluster_slides_needs_sixty_images(count, few):
    result = slides.cluster_slides([str(n) for n in range(count)], np.zeros((count, len(FEATURES))), np.zeros(count))
    assert ("too few" in result.reason) == few
    assert result.groups.tolist() == list(range(count))


def test_p_value_ranks_the_data_among_null_sets(rng, monkeypatch):
    """The data are one of the ten data sets among which they rank: first with slides, anywhere without."""
    monkeypatch.setattr(slides, "NULL_SETS", 9)
    alone = rng.normal(size=(60, 4))
    together = np.repeat(rng.normal(0, 5, (15, 4)), 4, axis=0) + rng.normal(size=(60, 4))
    strata = np.zeros(60)
    assert slides._p_value(together, strata, rng) == pytest.approx(0.1)
    chances = [slides._p_value(rng.permuted(alone, axis=0), strata, rng) for _ in range(3)]
    assert max(chances) > 0.1
    assert all(pd.Series(chances).between(0.1, 1.0))
