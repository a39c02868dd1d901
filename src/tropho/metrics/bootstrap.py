"""Bootstrap intervals that resample whole groups (patients, slides), not images.

A statistic is a function of weights: how often each of N samples counts, one row a draw. So all draws are
computed at once, and two statistics with the same groups and seed see the same draws: their difference is a
paired one.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.metrics.threshold_sweep import Floats

Statistic = Callable[[Floats], dict[str, Floats]]
"""Weights (D, N) -> named values (D,); NaN where one is undefined."""

FEW_GROUPS = 20
"""Below so many groups percentile intervals are rough: they cover the true value less often than they say."""

WEIGHTS_AT_ONCE = 2_000_000  # bounds memory to some 100 MB


def draws_of_groups(groups: ArrayLike, draws: int = 1000, seed: int = 0, width: int = 1) -> Iterator[Floats]:
    """How often each sample is drawn when as many groups as there are get drawn with replacement.

    Args:
        groups: (N,) the group of each sample.
        draws: D, in all.
        seed: the same seed and groups give the same draws.
        width: values that are computed of each draw; many make smaller blocks, of the same draws.

    Yields:
        Blocks (d, N) of the (D, N) weights.
    """
    codes, names = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    rng = np.random.default_rng(seed)
    block = max(1, WEIGHTS_AT_ONCE // max(len(codes), width, 1))
    for start in range(0, draws, block):
        shares = np.full(len(names), 1 / len(names))
        yield rng.multinomial(len(names), shares, size=min(block, draws - start))[:, codes].astype(np.float64)


def with_intervals(
    statistic: Statistic, groups: ArrayLike, level: float = 0.95, draws: int = 1000, seed: int = 0, width: int = 1
) -> pd.DataFrame:
    """Values of a statistic with percentile intervals.

    Draws where a value is undefined are left out of its interval. With fewer than two groups there is no
    interval. `width` is as for `draws_of_groups`.

    Returns:
        Index: the names; columns value, low, high (NaN = undefined), and draws: how many had a value.
    """
    groups = np.asarray(groups)
    values = {name: value[0] for name, value in statistic(np.ones((1, len(groups)))).items()}
    several = len(pd.unique(groups)) > 1
    blocks = [statistic(weights) for weights in draws_of_groups(groups, draws, seed, width)] if several else []
    tails = [(1 - level) / 2, (1 + level) / 2]
    rows = np.full((len(values), 2), np.nan)
    counts = np.zeros(len(values), np.int64)
    for place, name in enumerate(values):
        drawn = np.concatenate([block[name] for block in blocks]) if blocks else np.zeros(0)
        defined = drawn[~np.isnan(drawn)]
        counts[place] = len(defined)
        if len(defined):
            rows[place] = np.quantile(defined, tails)
    table = pd.DataFrame({"value": pd.Series(values, dtype=np.float64)})
    return table.assign(low=rows[:, 0], high=rows[:, 1], draws=counts)
