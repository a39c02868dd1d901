"""Where pairs of photos of one slide part from other pairs, and the groups that follow."""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from tropho.data.audit.slide_metric import null_features, pair_distances

SOON = 600.0
"""Seconds; photos of one device within so short a time have a threshold of their own."""
_FEW = 200  # pairs taken soon after each other that a threshold can be learned from
_PAIRS = 1_000_000  # distances that a threshold is learned from
_DRAWS = 20  # sets of images that never were, at most


@dataclass(frozen=True)
class DistanceThreshold:
    """Where pairs of one slide part from others."""

    threshold: float
    gain: float
    """Number of pairs below the threshold that are so rightly, less those that chance brings there."""
    wrong: float
    """Share of the pairs below the threshold that chance brings there."""


@dataclass(frozen=True)
class Grouping:
    """Groups of N images by a metric, and how they came about."""

    groups: np.ndarray
    """(N,) numbers; an image like no other has one of its own."""
    cut: DistanceThreshold
    distances: np.ndarray
    """Of pairs of images, and of pairs of which none is of one slide (`chance`); both are samples."""
    chance: np.ndarray


def group_by(
    values: np.ndarray,
    factor: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    times: np.ndarray | None = None,
) -> Grouping:
    """Group images that are nearer than pairs of different slides are.

    What distances such pairs have is told by images that never were (slide_metric.null_features), not by pairs of
    different size or device: two phones may have seen one slide.

    Args:
        values: (N, D) features.
        factor: (D, D) of the metric.
        strata: (N,) of images that may be compared.
        rng: draws samples and references.
        times: (N,) seconds, NaN where unknown.
    """
    points = values @ factor
    distances = pair_distances(points, strata)
    sample = _drawn(distances, rng)
    draws = min(_DRAWS, 1 + _PAIRS // max(1, len(distances)))
    other = [pair_distances(null_features(values, rng) @ factor, strata) for _ in range(draws)]
    chance = _drawn(np.concatenate(other), rng)
    cut = best_cut(sample, chance, len(distances))
    if times is not None and np.isfinite(times).any():
        distances = _nearer_if_soon(distances, strata, times, chance, cut.threshold)
    return Grouping(_linked(distances, strata, cut.threshold), cut, sample, chance)


def best_cut(distances: np.ndarray, chance: np.ndarray, pairs: int) -> DistanceThreshold:
    """The threshold of fewest errors between two populations, of which the wider one's distances are known.

    With F and F0 the distributions of `distances` and `chance`, and a share w of wide pairs (of those beyond the
    median of `chance` all are), a threshold joins F - w F0 of all pairs rightly and w F0 wrongly. It is put where the
    difference, F - 2 w F0, is largest: in the valley, where both populations are equally dense.

    Args:
        distances: (M,) of pairs, or a sample of them; of no pairs comes a cut that joins none.
        chance: (K,) of pairs of different slides.
        pairs: number of all pairs.
    """
    if not len(distances) or not len(chance):
        return DistanceThreshold(0.0, 0.0, 0.0)
    distances, chance = np.sort(distances), np.sort(chance)
    wide = min(1.0, 2 * float((distances > np.median(chance)).mean()))
    below = np.arange(1, len(distances) + 1) / len(distances)
    wrong = wide * np.searchsorted(chance, distances, side="right") / len(chance)
    best = int(np.argmax(below - 2 * wrong))
    return DistanceThreshold(
        float(distances[best]), float(below[best] - 2 * wrong[best]) * pairs, float(wrong[best] / below[best])
    )


def _drawn(distances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return distances if len(distances) <= _PAIRS else rng.choice(distances, _PAIRS)


def _nearer_if_soon(
    distances: np.ndarray, strata: np.ndarray, times: np.ndarray, chance: np.ndarray, threshold: float
) -> np.ndarray:
    """Distances, those of photos taken soon after each other in units of their own, more lenient, threshold."""
    soon = np.concatenate([pdist(times[strata == each][:, None]) for each in np.unique(strata)]) <= SOON
    if soon.sum() < _FEW:
        return distances
    own = best_cut(distances[soon], chance, int(soon.sum())).threshold
    own = max(threshold, min(own, float(np.median(chance))))  # beyond the median, pairs look like any two
    return np.where(soon, distances * (threshold / own), distances)


def _linked(distances: np.ndarray, strata: np.ndarray, threshold: float) -> np.ndarray:
    """Groups, (N,), by average linkage: groups join while their images are nearer than the threshold on average.

    So a chain of look-alikes does not run through the data, as with single linkage, and one odd photo does not tear
    a slide of many apart, as with complete linkage.
    """
    groups = np.zeros(len(strata), dtype=np.int64)
    start = taken = 0
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        pairs = len(own) * (len(own) - 1) // 2
        if pairs:
            tree = linkage(distances[start : start + pairs], "average")
            groups[own] = fcluster(tree, threshold, "distance") - 1 + taken
        else:
            groups[own] = taken
        start, taken = start + pairs, groups[own].max() + 1
    return groups
