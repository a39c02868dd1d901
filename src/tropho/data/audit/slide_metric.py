"""A distance of signatures in which photos of one slide are near, learned without knowing the slides.

Signatures are compared within a stratum only (photos of one size and device), and centred there.
"""

import numpy as np
from scipy.spatial.distance import cdist, pdist

AGREEMENT = 0.4
"""Least share of a feature's variance that nearest neighbours by the other features have in common; features below
it tell slides no better than chance, and would only blur the distance. On generated slides, colours and textures are
at 0.5 to 0.9, what differs from photo to photo at 0.3 or below."""
_FLAT = 1e-4  # features that vary less than this say nothing
_FAR = 6.0  # robust deviations at which outliers are cut
_SHRINK = 0.1  # of covariances towards their diagonal
_BLOCK = 4_000_000  # distances computed at once: 32 MB
_ROUNDS = 3


def centred(signatures: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) signatures -> less their stratum's median, in robust deviations; and (D,) bool, whether one varies.

    Features that don't vary are left out of the first.
    """
    values = signatures.astype(np.float64)
    for stratum in np.unique(strata):
        values[strata == stratum] -= np.median(values[strata == stratum], axis=0)
    spread = 1.4826 * np.median(np.abs(values), axis=0)
    varied = spread > _FLAT
    return np.clip(values[:, varied] / spread[varied], -_FAR, _FAR), varied


def agreeing(values: np.ndarray, parts: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """(D,) bool: whether each feature agrees in images that are nearest to each other by the other parts.

    Args:
        values: (N, D) features.
        parts: (D,) the part of the signature that each is of; features of a part are not independent.
        strata: (N,) of images that may be compared.
    """
    scaled = values / values.std(axis=0)
    shared = np.zeros(values.shape[1])
    for part in np.unique(parts):
        own = parts == part
        first, second = nearest_pairs(scaled[:, ~own], strata)
        if len(first):
            shared[own] = 1 - np.square(scaled[first][:, own] - scaled[second][:, own]).mean(axis=0) / 2
    return shared > AGREEMENT


def nearest_pairs(points: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images of a stratum that are each other's nearest: their positions, (M,) and (M,)."""
    nearest = np.arange(len(points))
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        if len(own) > 1:
            nearest[own] = own[_nearest(points[own])]
    number = np.arange(len(points))
    mutual = (nearest[nearest] == number) & (number < nearest)
    return number[mutual], nearest[mutual]


def _nearest(points: np.ndarray) -> np.ndarray:
    step = max(1, _BLOCK // len(points))
    found = []
    for start in range(0, len(points), step):
        apart = cdist(points[start : start + step], points)
        row = np.arange(len(apart))
        apart[row, row + start] = np.inf
        found.append(apart.argmin(axis=1))
    return np.concatenate(found)


def first_metric(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """(D, D) factor of the metric, points = values @ factor, learned from mutual nearest neighbours.

    These are of one slide more often than not, if slides show at all; the metric that they teach finds better ones.
    """
    factor = np.diag(1 / values.std(axis=0))
    for _ in range(_ROUNDS):
        first, second = nearest_pairs(values @ factor, strata)
        if len(first) < values.shape[1]:
            break
        apart = values[first] - values[second]
        factor = _metric(apart.T @ apart / (2 * len(apart)), values)
    return factor


def refined_metric(values: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """The metric learned from groups; None where these hold too few images to say."""
    sizes = np.bincount(labels)
    freedom = len(values) - np.count_nonzero(sizes)
    if freedom < 2 * values.shape[1]:
        return None
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, labels, values)
    rest = values - (sums / np.maximum(sizes, 1)[:, None])[labels]
    return _metric(rest.T @ rest / freedom, values)


def _metric(within: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The log-likelihood ratio of "one slide" to "any two" for normal differences: (within⁻¹ - total⁻¹), factored.

    Source: Köstinger et al., "Large scale metric learning from equivalence constraints", CVPR 2012.
    """
    inverse, total = (np.linalg.inv(_shrunk(each)) for each in (within, np.atleast_2d(np.cov(values.T))))
    weight, axes = np.linalg.eigh(inverse - total)
    return axes * np.sqrt(np.clip(weight, 0, None))


def _shrunk(covariance: np.ndarray) -> np.ndarray:
    diagonal = np.diag(np.diag(covariance)) + 1e-9 * np.eye(len(covariance))
    return (1 - _SHRINK) * covariance + _SHRINK * diagonal


def null_features(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, D) features of images that never were: each principal component dealt anew among the images.

    Spread and correlation stay; what made some images agree in everything goes. Source: the reference of Tibshirani
    et al., "Estimating the number of clusters via the gap statistic", 2001, with the data's own marginals.
    """
    mean = values.mean(axis=0)
    _, _, axes = np.linalg.svd(values - mean, full_matrices=False)
    return rng.permuted((values - mean) @ axes.T, axis=0) @ axes + mean


def pair_distances(points: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """(M,) distances of all pairs within strata, stratum by stratum as scipy's pdist has them."""
    return np.concatenate([pdist(points[strata == each]) for each in np.unique(strata)])
