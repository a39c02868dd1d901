"""Group photos that look as if they were taken of one slide, by a distance and a threshold learned from the photos.

docs/design.md (Slides) says how and why; features come from slide_features.py. Shapes: N images, F features; strata
are (N,), and only images of one stratum (size and device) are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from tropho.data.audit.slide_features import COLOURED, PARTS

MIN_IMAGES = 60  # that a distance can be learned from
MAX_IMAGES = 10_000  # of one size and device, so that their pairs fit into memory: 400 MB
NULL_SETS = 99  # data sets without slides that the data must surpass, so that p is 0.01
MIN_NEIGHBOURS = 1.0  # least mean number of other images of its slide; without slides up to 0.5 were seen
MAX_FALSE_SHARE = 1 / 3  # of the pairs below the threshold, that may be there by chance
MAX_CLUSTER_SHARE = 0.5  # of the images, that one group may take
_MAX_PAIRS = 1_000_000  # distances that a threshold is learned from
_MAX_DRAWS = 20  # null sets that a threshold is learned from
MIN_AGREEMENT = 0.4  # least share of a feature's variance that nearest neighbours by the other features have in common
_MIN_SPREAD = 1e-4  # features that vary less are left out
_MAX_DEVIATION = 6.0  # robust deviations at which outliers are clipped
_SHRINKAGE = 0.1  # of covariances towards their diagonal
_TEST_IMAGES = 600  # images, drawn at random, that the test for slides looks at


@dataclass(frozen=True)
class DistanceThreshold:
    """Distance below which a pair of images counts as one slide's."""

    value: float  # the distance
    gain: float  # pairs below it less twice those that are there by chance
    false_share: float  # share of the pairs below it that are there by chance, 0..1


@dataclass(frozen=True)
class Slides:
    """Groups of images, and how they were found."""

    ids: Sequence[str]  # N image ids
    groups: np.ndarray  # (N,) int64 group numbers; an image like no other has one of its own
    reason: str = ""  # why no image was grouped; empty if some were
    threshold: DistanceThreshold | None = None  # the one that groups were made with, if any
    distances: np.ndarray = field(default_factory=lambda: np.empty(0))  # (M,) float64 of a sample of pairs
    # (K,) float64 of a sample of pairs of images without slides
    null_distances: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def sizes(self) -> np.ndarray:
        """Count the images of each group of several, the largest first."""
        sizes = np.bincount(self.groups) if len(self.groups) else np.empty(0, np.int64)
        return np.sort(sizes[sizes > 1])[::-1]

    @property
    def count(self) -> int:
        """Count the groups of several images."""
        return len(self.sizes)

    @property
    def sentence(self) -> str:
        """Return the result in words."""
        if not self.count:
            return f"No slides were found by content: {self.reason}."
        by_chance = f"{self.threshold.false_share:.0%}" if self.threshold else ""
        share = f"; about {by_chance} of the pairs below the threshold are there by chance" if by_chance else ""
        return (
            f"{self.sizes.sum():,} of {len(self.ids):,} images look as if from {self.count:,} slides of "
            f"{self.sizes.min()} to {self.sizes.max()} images{share}."
        )


def cluster_slides(ids: Sequence[str], signatures: np.ndarray, strata: np.ndarray) -> Slides:
    """Group N images that repeat no other by slide_features.signature; all are alone, with a reason, if no slides show.

    Signatures are (N, D) float32; only images of equal text in `strata`, (N,), such as size and device, can be of one
    slide.
    """
    alone = np.arange(len(ids))
    if len(ids) < MIN_IMAGES:
        return Slides(ids, alone, f"{len(ids):,} images are too few to learn from")
    if np.unique(strata, return_counts=True)[1].max() > MAX_IMAGES:
        return Slides(ids, alone, f"over {MAX_IMAGES:,} images of one size and device are too many to compare")
    rng = np.random.default_rng(0)
    values, varied = standardize(signatures, strata)
    agree = agreeing_features(values, np.array(PARTS)[varied], strata) if values.size else np.zeros(0, bool)
    if not agree[np.array(COLOURED)[varied]].any():  # what else cells or scans share is not a slide's stain
        return Slides(ids, alone, "images that are alike otherwise are no more alike in colour")
    values = values[:, agree]  # (N, D) -> (N, F)
    p = _p_value(values, strata, rng)
    if p > 1 / (1 + NULL_SETS):
        return Slides(ids, alone, f"the images look no more alike than images without slides would (p = {p:.2g})")
    metric = initial_metric(values, strata)
    for _ in range(2):
        refined = refined_metric(values, _cluster(values, metric, strata, rng)[0])
        metric = metric if refined is None else refined
    groups, threshold, distances, null_distances = _cluster(values, metric, strata, rng)
    reason = _doubt(groups, threshold)
    return Slides(ids, alone if reason else groups, reason, threshold, distances, null_distances)


def fit_threshold(distances: np.ndarray, null_distances: np.ndarray, n_pairs: int) -> DistanceThreshold:
    """Find the threshold of fewest errors between pairs of one slide and other pairs; 0, joining none, without pairs.

    F and F0 are the distributions of samples of distances, (M,) of pairs and (K,) of pairs of different slides. w is
    the share of other pairs: twice what is beyond the median of F0. A threshold joins F - w F0 of the `n_pairs` pairs
    rightly and w F0 wrongly; F - 2 w F0 is maximised.
    """
    if not len(distances) or not len(null_distances):
        return DistanceThreshold(0.0, 0.0, 0.0)
    distances, null_distances = np.sort(distances), np.sort(null_distances)
    other = min(1.0, 2 * float((distances > np.median(null_distances)).mean()))
    below = np.arange(1, len(distances) + 1) / len(distances)
    false = other * np.searchsorted(null_distances, distances, side="right") / len(null_distances)
    best = int(np.argmax(below - 2 * false))
    gain = float(below[best] - 2 * false[best]) * n_pairs
    return DistanceThreshold(float(distances[best]), gain, float(false[best] / below[best]))


def _cluster(
    values: np.ndarray, metric: np.ndarray, strata: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, DistanceThreshold, np.ndarray, np.ndarray]:
    """Group images; return (N,) group numbers, the threshold, and samples of distances and of null distances."""
    distances = pair_distances(values @ metric, strata)
    sample = _sampled(distances, rng)
    draws = min(_MAX_DRAWS, 1 + _MAX_PAIRS // max(1, len(distances)))
    null = [pair_distances(null_features(values, rng) @ metric, strata) for _ in range(draws)]
    null_sample = _sampled(np.concatenate(null), rng)
    threshold = fit_threshold(sample, null_sample, len(distances))
    return _average_linkage(distances, strata, threshold.value), threshold, sample, null_sample


def _doubt(groups: np.ndarray, threshold: DistanceThreshold) -> str:
    """Say why groups are not to be trusted; empty if they are."""
    if threshold.gain < MIN_NEIGHBOURS * len(groups):
        mean = threshold.gain / len(groups)
        return f"an image has {mean:.1f} look-alikes beyond chance on average, under {MIN_NEIGHBOURS:g}"
    if threshold.false_share > MAX_FALSE_SHARE:
        return f"of the pairs that look alike, {threshold.false_share:.0%} do so by chance"
    if np.bincount(groups).max() > MAX_CLUSTER_SHARE * len(groups):
        return "one group would take more than half of all images"
    return ""


def _p_value(values: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> float:
    """Test by Monte Carlo whether null data sets show groups as plainly as the data do."""
    drawn = np.sort(rng.permutation(len(values))[:_TEST_IMAGES])
    values, strata = values[drawn], strata[drawn]

    def gain(own: np.ndarray) -> float:
        metric = initial_metric(own, strata)
        distances = pair_distances(own @ metric, strata)
        null = pair_distances(null_features(own, rng) @ metric, strata)
        return fit_threshold(distances, null, len(distances)).gain

    observed = gain(values)
    n_as_plain = sum(gain(null_features(values, rng)) >= observed for _ in range(NULL_SETS))
    return (1 + n_as_plain) / (1 + NULL_SETS)


def _sampled(distances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return distances if len(distances) <= _MAX_PAIRS else rng.choice(distances, _MAX_PAIRS)


def _average_linkage(distances: np.ndarray, strata: np.ndarray, threshold: float) -> np.ndarray:
    """Join groups while their images are nearer than the threshold on average: (N,) int64 group numbers."""
    groups = np.zeros(len(strata), dtype=np.int64)
    start = n_groups = 0
    for rows in rows_by_stratum(strata):
        n_pairs = len(rows) * (len(rows) - 1) // 2
        groups[rows] = n_groups
        if n_pairs:
            groups[rows] += fcluster(linkage(distances[start : start + n_pairs], "average"), threshold, "distance") - 1
        start, n_groups = start + n_pairs, groups[rows].max() + 1
    return groups


def rows_by_stratum(strata: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each stratum, (n,) int64 each."""
    return [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]


def standardize(signatures: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre features on their stratum's median, in robust deviations; also return (D,) bool of those that vary."""
    values = signatures.astype(np.float64)
    for rows in rows_by_stratum(strata):
        values[rows] -= np.median(values[rows], axis=0)
    spread = 1.4826 * np.median(np.abs(values), axis=0)
    varied = spread > _MIN_SPREAD
    return np.clip(values[:, varied] / spread[varied], -_MAX_DEVIATION, _MAX_DEVIATION), varied


def agreeing_features(values: np.ndarray, parts: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Tell which features agree in images that are nearest by the other parts' features, (D,) bool."""
    scaled = values / values.std(axis=0)
    shared = np.zeros(values.shape[1])
    for part in np.unique(parts):
        own = parts == part
        first, second = mutual_neighbours(scaled[:, ~own], strata)
        if len(first):
            shared[own] = 1 - np.square(scaled[first][:, own] - scaled[second][:, own]).mean(axis=0) / 2
    return shared > MIN_AGREEMENT


def mutual_neighbours(points: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the images of a stratum that are each other's nearest: two (M,) int64 of rows; none without features."""
    nearest = np.arange(len(points))
    for rows in rows_by_stratum(strata):
        if len(rows) > 1 and points.shape[1]:
            first, second = np.transpose(cKDTree(points[rows]).query(points[rows], k=2)[1])
            nearest[rows] = rows[np.where(first == np.arange(len(rows)), second, first)]
    number = np.arange(len(points))
    mutual = (nearest[nearest] == number) & (number < nearest)
    return number[mutual], nearest[mutual]


def initial_metric(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Learn a metric from mutual nearest neighbours: (F, F) float64, points = values @ metric."""
    metric = np.diag(1 / values.std(axis=0))
    for _ in range(3):
        first, second = mutual_neighbours(values @ metric, strata)
        if len(first) < values.shape[1]:
            break
        difference = values[first] - values[second]
        metric = _likelihood_ratio_metric(difference.T @ difference / (2 * len(difference)), values)
    return metric


def refined_metric(values: np.ndarray, groups: np.ndarray) -> np.ndarray | None:
    """Learn a metric from groups, (F, F) float64; None where these hold too few images."""
    sizes = np.bincount(groups)
    freedom = len(values) - np.count_nonzero(sizes)
    if freedom < 2 * values.shape[1]:
        return None
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, groups, values)
    rest = values - (sums / np.maximum(sizes, 1)[:, None])[groups]
    return _likelihood_ratio_metric(rest.T @ rest / freedom, values)


def _likelihood_ratio_metric(within: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Factor within⁻¹ - total⁻¹, the log-likelihood ratio of "one slide" to "any two" (Köstinger et al., 2012)."""
    inverse, total = (
        np.linalg.inv((1 - _SHRINKAGE) * each + _SHRINKAGE * (np.diag(np.diag(each)) + 1e-9 * np.eye(len(each))))
        for each in (within, np.atleast_2d(np.cov(values.T)))
    )
    weight, axes = np.linalg.eigh(inverse - total)
    return np.asarray(axes * np.sqrt(np.clip(weight, 0, None)))


def null_features(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute each principal component among the images: spread and correlation stay, slides go, (N, F)."""
    mean = values.mean(axis=0)
    _, _, axes = np.linalg.svd(values - mean, full_matrices=False)
    return np.asarray(rng.permuted((values - mean) @ axes.T, axis=0) @ axes + mean)


def pair_distances(points: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Compute the distances of all pairs within strata, stratum by stratum in scipy's condensed form, (M,)."""
    return np.concatenate([pdist(points[rows]) for rows in rows_by_stratum(strata)])
