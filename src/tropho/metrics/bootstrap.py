"""Percentile bootstrap intervals that resample whole groups (patients, slides), not images."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tropho.boxes.box_ops import Floats

Statistic = Callable[[Floats], dict[str, Floats]]
"""Sample weights (D, N) of D draws -> values (D,) by name; NaN = undefined."""

TAILS = (1 - 0.95) / 2, (1 + 0.95) / 2  # quantiles that a 95 % interval ends at

FEW_GROUPS = 20  # below so many groups percentile intervals are too narrow

MAX_WEIGHTS = 2_000_000  # draws x samples at once; bounds memory to some 100 MB


def draws_of_groups(groups: ArrayLike, draws: int = 1000, width: int = 1) -> Iterator[Floats]:
    """Yield blocks (d, N) float64 of how often each sample counts, when whole groups are drawn with replacement.

    Equal groups give equal draws. Blocks are smaller where `width`, the values computed of a draw, is large.
    """
    codes, names = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    rng = np.random.default_rng(0)
    block = max(1, MAX_WEIGHTS // max(len(codes), width, 1))
    for start in range(0, draws, block):
        shares = np.full(len(names), 1 / len(names))
        yield rng.multinomial(len(names), shares, size=min(block, draws - start))[:, codes].astype(np.float64)


def with_intervals(statistic: Statistic, groups: ArrayLike, draws: int = 1000, width: int = 1) -> pd.DataFrame:
    """Compute 95 % percentile bootstrap intervals of a statistic, resampling whole groups (N,).

    Draws and width are as in `draws_of_groups`.

    Returns:
        Table indexed by name: value, low, high (NaN below 2 groups), and draws, the replicates with a value.
    """
    groups = np.asarray(groups)
    values = {name: value[0] for name, value in statistic(np.ones((1, len(groups)))).items()}
    several = len(pd.unique(groups)) > 1
    blocks = [statistic(weights) for weights in draws_of_groups(groups, draws, width)] if several else []
    rows = np.full((len(values), 2), np.nan)
    counts = np.zeros(len(values), np.int64)
    for place, name in enumerate(values):
        drawn = np.concatenate([block[name] for block in blocks]) if blocks else np.zeros(0)
        defined = drawn[~np.isnan(drawn)]
        counts[place] = len(defined)
        if len(defined):
            rows[place] = np.quantile(defined, TAILS)
    table = pd.DataFrame({"value": pd.Series(values, dtype=np.float64)})
    return table.assign(low=rows[:, 0], high=rows[:, 1], draws=counts)
