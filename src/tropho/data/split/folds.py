"""Assign groups of images to folds that are alike in classes, resolutions and numbers of objects.

docs/design.md says why scikit-learn's StratifiedGroupKFold is not enough.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tropho.tables import join_names

MAX_ORDERS = 50  # shuffled orders of the groups that are tried
MAX_WORK = 500_000  # groups times orders; many groups come out even at the first try
STRATA_WEIGHT = 0.2  # of all strata together; that of all targets is 1
JITTER = 0.5  # deviation of the logarithm by which the order of groups, large ones first, is shuffled
MIN_SIZE_SHARE = 1 / 20  # of the images, that makes a resolution one of its own
OTHER = "other sizes"
COUNT_BINS = 4  # quantile bins of the number of objects


@dataclass(frozen=True)
class StratificationTargets:
    """What is kept even over folds."""

    # (N, T) float64, how much of each target an image has, such as its boxes of a class; columns in words
    amounts: pd.DataFrame
    strata: np.ndarray  # (N,) str, the joint stratum of each image

    def is_splittable(self, n_folds: int) -> np.ndarray:
        """Tell whether at least as many images as folds have a target, (T,) bool."""
        return ((self.amounts > 0).sum() >= n_folds).to_numpy()

    def imbalance(self, fold: np.ndarray) -> pd.DataFrame:
        """Compute how far each fold (of (N,) int) is from the mean fold, as a share of it, by splittable target."""
        totals = self.amounts.loc[:, self.is_splittable(len(np.unique(fold)))].groupby(fold).sum()
        return totals / totals.mean() - 1


def assign_folds(groups: pd.Series, targets: StratificationTargets, n_folds: int, seed: int) -> np.ndarray:
    """Assign each image to a fold, (N,) int64; never split a group; balance the stratification targets.

    Greedy, largest group first, into the fold that has least of what the group holds. Of several shuffled orders the
    one of the smallest maximum imbalance counts, then the one of the smallest sum of squares.

    Args:
        groups: (N,) names, at least `n_folds` distinct.
        targets: of the same images.
        n_folds: how many.
        seed: of the orders and fold numbers.
    """
    _, codes = np.unique(groups.to_numpy(dtype=str), return_inverse=True)
    loads, splittable = _group_loads(codes, targets, n_folds), np.flatnonzero(targets.is_splittable(n_folds))
    rng = np.random.default_rng(seed)
    best, best_folds = (np.inf, np.inf), np.zeros(len(loads), np.int64)
    for _ in range(int(np.clip(MAX_WORK // len(loads), 1, MAX_ORDERS))):
        order = np.argsort(-loads.max(axis=1) * rng.lognormal(sigma=JITTER, size=len(loads)), kind="stable")
        folds, totals = _assign_greedy(loads, order, n_folds)
        imbalance = np.abs(totals / totals.mean(axis=0) - 1)[:, splittable].max()
        # Rounded, so that the order of summation decides nothing.
        quality = round(float(imbalance), 9), round(float((totals**2).sum()), 9)
        if quality < best:
            best, best_folds = quality, folds
    return rng.permutation(n_folds)[best_folds][codes]  # (groups,) -> (N,)


def stratification_targets(images: pd.DataFrame, boxes: pd.DataFrame, n_folds: int) -> StratificationTargets:
    """Compute what folds of these images (N rows of tables.IMAGES) should have alike.

    A stratum is the classes of an image, its resolution and the quarter of its number of objects. Where fewer images
    than folds share one, the number is left out, then the resolution, at last all.
    """
    images = images.reset_index(drop=True)
    sizes = sizes_of(images)
    if images["label"].notna().any():
        classes = images["label"].astype("object")
        amounts = pd.get_dummies(classes).add_suffix(" images")
        finest = []
    else:
        counts = pd.crosstab(boxes["image_id"], boxes["label"]).reindex(images["image_id"], fill_value=0)
        counts = counts.reset_index(drop=True)
        classes = _class_names(counts)
        n_objects = counts.sum(axis=1)
        amounts = counts.add_suffix(" boxes").assign(**{"images without boxes": n_objects == 0})
        finest = [classes + " " + sizes + " " + _quarters(n_objects)]
    amounts = pd.DataFrame({"images": 1.0}, index=images.index).join(amounts.astype(np.float64))
    if sizes.nunique() > 1:
        by_size = pd.get_dummies(sizes).add_prefix("images of ").astype(np.float64)
        amounts = amounts.join(by_size.drop(columns=f"images of {OTHER}", errors="ignore"))
    amounts = amounts.loc[:, amounts.sum() > 0]
    return StratificationTargets(amounts, back_off([*finest, classes + " " + sizes, classes], n_folds))


def sizes_of(images: pd.DataFrame) -> pd.Series:
    """Return the resolution of each image as "1920x1080", (N,); rare ones together as OTHER."""
    sizes = (images["width"].astype("string") + "x" + images["height"].astype("string")).astype("object")
    return sizes.where(sizes.map(sizes.value_counts()) >= len(images) * MIN_SIZE_SHARE, OTHER)


def back_off(levels: list[pd.Series], min_images: int) -> np.ndarray:
    """Give each image the finest name that `min_images` images share, (N,) str; "" where there is none.

    Levels of names, (N,) each, come the finest first; images named by one are not counted by the next.
    """
    names = np.full(len(levels[0]), "", dtype=object)
    for level in levels:
        left = names == ""
        common = left & (level.map(level[left].value_counts()) >= min_images).to_numpy()
        names[common] = level[common]
    return names


def _group_loads(codes: np.ndarray, targets: StratificationTargets, n_folds: int) -> np.ndarray:
    """Compute what each group holds of targets and strata, as shares of a fold's, (G, T + S) float64, weighted."""
    n_groups = codes.max() + 1
    amounts = np.stack([np.bincount(codes, column) for column in targets.amounts.to_numpy().T], axis=1)  # (G, T)
    _, strata, sizes = np.unique(targets.strata.astype(str), return_inverse=True, return_counts=True)
    joint = np.bincount(codes * len(sizes) + strata, minlength=n_groups * len(sizes)).reshape(n_groups, len(sizes))
    alike = np.sqrt(1 / amounts.shape[1]) * amounts / amounts.sum(axis=0)
    return n_folds * np.hstack([alike, np.sqrt(STRATA_WEIGHT * sizes / len(codes)) * joint / sizes])


def _assign_greedy(loads: np.ndarray, order: np.ndarray, n_folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the fold of each group, (G,), and the folds' loads, (n_folds, T + S)."""
    totals, folds = np.zeros((n_folds, loads.shape[1])), np.zeros(len(loads), np.int64)
    for group in order:
        # (t + h)^2 - t^2 = 2th + h^2, and h^2 is the same wherever the group goes.
        folds[group] = (totals @ loads[group]).argmin()
        totals[folds[group]] += loads[group]
    return folds, totals


def _class_names(counts: pd.DataFrame) -> pd.Series:
    """Join the classes of each image into one name (tables.join_names), (N,), from its boxes by class, (N, C)."""
    names = counts.columns.to_numpy(dtype=object)
    return pd.Series(
        [join_names(names[row]) if row.any() else "nothing" for row in counts.to_numpy() > 0], dtype=object
    )


def _quarters(n_objects: pd.Series) -> pd.Series:
    """Bin the number of objects by quarters of the images with objects, (N,) "0" to "3"; none is in "0"."""
    some = n_objects[n_objects > 0]
    borders = np.quantile(some, np.arange(1, COUNT_BINS) / COUNT_BINS) if len(some) else []
    return pd.Series(np.searchsorted(borders, n_objects, side="left"), index=n_objects.index).astype(str).astype(object)
