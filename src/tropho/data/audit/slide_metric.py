"""Learn a distance in which photos of one slide are near, without knowing the slides.

Shapes: N images, F features; strata are (N,), and only images of one stratum (size and device) are compared.
"""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

MIN_AGREEMENT = 0.4  # least share of a feature's variance that nearest neighbours by the other features have in common
_MIN_SPREAD = 1e-4  # features that vary less are left out
_MAX_DEVIATION = 6.0  # robust deviations at which outliers are clipped
_SHRINKAGE = 0.1  # of covariances towards their diagonal


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
            first, second = cKDTree(points[rows]).query(points[rows], k=2)[1].T
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
    inverse, total = (np.linalg.inv(_shrunk(each)) for each in (within, np.atleast_2d(np.cov(values.T))))
    weight, axes = np.linalg.eigh(inverse - total)
    return axes * np.sqrt(np.clip(weight, 0, None))


def _shrunk(covariance: np.ndarray) -> np.ndarray:
    diagonal = np.diag(np.diag(covariance)) + 1e-9 * np.eye(len(covariance))
    return (1 - _SHRINKAGE) * covariance + _SHRINKAGE * diagonal


def null_features(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute each principal component among the images: spread and correlation stay, slides go, (N, F)."""
    mean = values.mean(axis=0)
    _, _, axes = np.linalg.svd(values - mean, full_matrices=False)
    return rng.permuted((values - mean) @ axes.T, axis=0) @ axes + mean


def pair_distances(points: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Compute the distances of all pairs within strata, stratum by stratum in scipy's condensed form, (M,)."""
    return np.concatenate([pdist(points[rows]) for rows in rows_by_stratum(strata)])
