"""The metric, the cut and the groups of slides, and near duplicates, on numbers worked by hand."""

import numpy as np
import pytest

from tropho.data.audit import near_duplicates, slide_metric, slides
from tropho.data.audit.slide_features import NAMES
from tropho.data.audit.slides import DistanceThreshold, fit_threshold

FEATURES = [name for names in NAMES.values() for name in names]


def test_features_in_robust_deviations_from_their_stratums_median():
    values, varied = slide_metric.standardize(
        np.array([[0, 7.0], [2, 7], [4, 7], [10, 7], [12, 7], [20, 7], [99, 7]]), np.array(list("aaabbbb"))
    )
    # medians 2 and 16: -2, 0, 2, -6, -4, 4, 83, of which 4 is the median size
    assert varied.tolist() == [True, False]
    assert values[:, 0] == pytest.approx(np.array([-2, 0, 2, -6, -4, 4, np.inf]).clip(-35.5824, 35.5824) / (1.4826 * 4))


def test_features_that_agree_in_neighbours_by_the_others(rng):
    slide, noise = np.repeat(rng.normal(size=60), 2), rng.normal(size=120)
    values = np.stack([slide, 5 * slide + rng.normal(0, 0.05, 120), noise, 0.9 * slide + 0.4 * noise], axis=1)
    agree = slide_metric.agreeing_features(values[:, :3], np.array(["a", "b", "c"]), np.zeros(120))
    assert agree.tolist() == [True, True, False]


def test_the_metric_of_one_feature():
    values = np.array([[0.0], [2], [10], [12]])
    # within: 4 squares of 1 by 4 - 2 degrees of freedom; in all: 104 / 3
    assert slide_metric.refined_metric(values, np.array([0, 0, 1, 1])) ** 2 == pytest.approx(1 / 2 - 3 / 104)
    assert slide_metric.refined_metric(values, np.array([0, 0, 1, 2])) is None
    pairs = np.array([[0.0], [1], [10], [12], [20], [23]])
    within, total = (1 + 4 + 9) / 6, pairs.var(ddof=1)
    assert slide_metric.initial_metric(pairs, np.zeros(6)) ** 2 == pytest.approx(1 / within - 1 / total)
    alone = np.array([[0.0], [3], [7]])
    assert slide_metric.initial_metric(alone, np.array(list("abc"))) == pytest.approx(1 / alone.std())


def test_the_metric_of_two_features_shrinks_what_they_share():
    values = np.array([[0.0, 0], [1, 2], [2, 1], [6, 9], [7, 7], [9, 8]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    factor = slide_metric.refined_metric(values, labels)
    rest = values - np.array([[1, 1]] * 3 + [[22 / 3, 8]] * 3)
    off = np.array([[1, 0.9], [0.9, 1]])
    within, total = off * (rest.T @ rest / 4), off * np.cov(values.T)
    weight, vectors = np.linalg.eigh(np.linalg.inv(within) - np.linalg.inv(total))
    assert factor @ factor.T == pytest.approx(vectors @ np.diag(weight.clip(0)) @ vectors.T, rel=1e-5)


def test_images_that_never_were_have_the_values_of_those_that_are(rng):
    values = rng.normal(5, 2, (30, 1))
    dealt = slide_metric.null_features(values, rng)
    assert np.sort(dealt, axis=0) == pytest.approx(np.sort(values, axis=0))
    assert not np.allclose(dealt, values)


def test_the_cut_of_a_few_distances():
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


def test_groups_join_while_they_are_near_on_average():
    strata = np.array(list("abaabcb"))
    places = np.array([[0.0], [0], [1], [9], [5], [0], [5.5]])
    groups = slides._average_linkage(slide_metric.pair_distances(places, strata), strata, 2.0)
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
def test_groups_that_are_not_to_be_trusted(groups, cut, words):
    doubt = slides._doubt(np.array(groups), cut)
    assert doubt.startswith(words) or words in doubt
    assert bool(doubt) == bool(words)


def test_what_is_said_of_slides():
    found = slides.Slides(
        list("abcdef"), np.array([0, 1, 1, 2, 2, 2]), threshold=DistanceThreshold(1.2345, 9, 0.1), p=0.01
    )
    assert found.sizes.tolist() == [3, 2]
    assert found.sentence == (
        "5 of 6 images look as if from 2 slides of 2 to 3 images; of pairs so near, 10% are so by chance."
    )
    assert found.facts == {
        "images": 6, "groups": 2, "grouped_images": 5, "largest": 3, "p": 0.01, "threshold": 1.234,
        "pairs_by_chance": 0.1,
    }  # fmt: skip
    none = slides.Slides(["a"], np.array([0]), "too few")
    assert (none.count, none.facts["reason"], "p" in none.facts) == (0, "too few", False)
    assert slides.Slides([], np.empty(0, int), "too few").sizes.size == 0


@pytest.mark.parametrize(("count", "few"), [(59, True), (60, False)])
def test_sixty_images_are_enough_to_learn_from(count, few):
    found = slides.cluster_slides(
        [str(n) for n in range(count)], np.zeros((count, len(FEATURES))), np.zeros(count), np.zeros(count)
    )
    assert ("too few" in found.reason) == few
    assert found.groups.tolist() == list(range(count))


def test_maps_about_the_centre_of_a_thumbnail():
    distance = near_duplicates._from_centre(4)
    assert distance[0] == pytest.approx(
        [np.hypot(0.75, 0.75), np.hypot(0.25, 0.75), np.hypot(0.25, 0.75), np.hypot(0.75, 0.75)]
    )
    assert distance == pytest.approx(distance.T)
    quarter = np.array([[0.0, -1], [1, 0]])
    assert near_duplicates._about_centre(quarter, 5) @ [2, 2, 1] == pytest.approx([2, 2])
    assert near_duplicates._about_centre(quarter, 5) @ [4, 2, 1] == pytest.approx([2, 4])
    maps = near_duplicates._linear_maps()
    assert len(maps) == 15
    assert maps[0] == pytest.approx(np.eye(2))
    assert {round(float(np.rad2deg(np.arctan2(each[1, 0], each[0, 0]))), 6) for each in maps[::3]} == {
        -14,
        -7,
        0,
        7,
        14,
    }
    assert maps[1] == pytest.approx(np.array([[1, -0.14], [-0.14, 1]]))


@pytest.mark.parametrize(
    ("linear", "shift", "small"),
    [
        ([[1, 0], [0, 1]], (0, 0), True),
        ([[1, 0], [0, 1]], (-12, 12), True),
        ([[1, 0], [0, 1]], (12.1, 0), False),
        ([[1, 0], [0, 1]], (0, -12.1), False),
        ([[1.5, 0], [0, 0.5]], (0, 0), True),
        ([[1, -0.51], [0, 1]], (0, 0), False),
        ([[0.49, 0], [0, 1]], (0, 0), False),
    ],
)
def test_copies_turn_and_move_a_little_only(linear, shift, small):
    centre = np.full(2, 49.5)
    change = np.column_stack([linear, centre - np.array(linear) @ centre + shift])
    assert near_duplicates._is_small(change, 100) == small


def described(*rows: list[float]) -> np.ndarray:
    """Descriptors of images whose copies of every warp are alike."""
    return np.repeat(np.array(rows, np.float32)[:, None], len(near_duplicates._WARPS), axis=1)


def test_candidates_are_as_like_as_their_descriptors():
    near, far = np.sqrt(1 - 0.86**2), np.sqrt(1 - 0.84**2)
    found = list(near_duplicates._candidates(described([1, 0, 0], [0, 0, 1], [0.86, near, 0], [0.84, -far, 0])))
    assert [pair[:2] for pair in found] == [(0, 2)]
    many = list(near_duplicates._candidates(described(*[[1.0, 0]] * 19)))
    assert [pair[1] for pair in many if pair[0] == 0] == list(range(1, 17))
    assert [pair[:2] for pair in many if pair[0] > 15] == [(16, 17), (16, 18), (17, 18)]
