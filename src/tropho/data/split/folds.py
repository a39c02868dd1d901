"""Groups dealt into parts of even traits.

scikit-learn's StratifiedGroupKFold evens out one label an image and takes groups in an order that hardly depends on the
seed; with grouped photos of several resolutions it leaves parts a multiple further apart (docs/design.md).
"""

import numpy as np
import pandas as pd

from tropho.data.split.stratification import StratificationTargets

SHUFFLES = 50
WORK = 500_000  # groups times shuffles, at most: many groups come out even at the first try
JOINT = 0.2  # what joint kinds count for beside the traits by themselves
JITTER = 0.5  # deviation of the logarithm by which the order of groups, large ones first, is shuffled


def assign_folds(groups: pd.Series, traits: StratificationTargets, parts: int, seed: int) -> np.ndarray:
    """Part of each image, (N,) int, 0 to `parts` - 1: groups whole, traits as even as they allow.

    Large groups go first, each into the part that has least of what the group holds (the least sum of squared
    amounts). Of several shuffled orders the one counts whose largest deviation from the mean, over parts and traits, is
    least, then the one of the least sum. The parts' numbers are drawn too, so that none is always that of the largest
    group.

    Args:
        groups: (N,) names; no fewer of them than parts.
        traits: of the same images.
        parts: how many.
        seed: of the orders and numbers.
    """
    _, codes = np.unique(groups.to_numpy(dtype=str), return_inverse=True)
    held, judged = _held(codes, traits, parts), np.flatnonzero(traits.enough(parts))
    rng = np.random.default_rng(seed)
    best, chosen = (np.inf, np.inf), np.zeros(len(held), np.int64)
    for _ in range(int(np.clip(WORK // len(held), 1, SHUFFLES))):
        order = np.argsort(-held.max(axis=1) * rng.lognormal(sigma=JITTER, size=len(held)), kind="stable")
        part, totals = _fill(held, order, parts)
        apart = np.abs(totals / totals.mean(axis=0) - 1)[:, judged].max()
        # Rounded, so that the order of summation decides nothing.
        quality = round(float(apart), 9), round(float((totals**2).sum()), 9)
        if quality < best:
            best, chosen = quality, part
    return rng.permutation(parts)[chosen][codes]


def _held(codes: np.ndarray, traits: StratificationTargets, parts: int) -> np.ndarray:
    """What each group holds, (G, T + S), as shares of what a part should: traits alike, joint kinds by their size."""
    groups = codes.max() + 1
    amounts = np.stack([np.bincount(codes, column) for column in traits.amounts.to_numpy().T], axis=1)
    _, kinds, sizes = np.unique(traits.strata.astype(str), return_inverse=True, return_counts=True)
    joint = np.bincount(codes * len(sizes) + kinds, minlength=groups * len(sizes)).reshape(groups, len(sizes))
    alike = np.sqrt(1 / amounts.shape[1]) * amounts / amounts.sum(axis=0)
    return parts * np.hstack([alike, np.sqrt(JOINT * sizes / len(codes)) * joint / sizes])


def _fill(held: np.ndarray, order: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Part of each group (G,), and what the parts hold then, (parts, columns)."""
    totals, part = np.zeros((parts, held.shape[1])), np.zeros(len(held), np.int64)
    for group in order:
        # (t + h)^2 - t^2 = 2th + h^2, and h^2 is the same wherever the group goes.
        part[group] = (totals @ held[group]).argmin()
        totals[part[group]] += held[group]
    return part, totals
