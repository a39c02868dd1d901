"""The groups that links between images form."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def connected_ids(names: Sequence[str], links: list[tuple[str, str]]) -> dict[str, str]:
    """Union of linked names: each name -> the first, in sorting order, of those it is linked with."""
    order = sorted(names)
    number = {name: index for index, name in enumerate(order)}
    ends = np.array([(number[a], number[b]) for a, b in links], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(len(order),) * 2)
    _, part = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for name, label in zip(order, part.tolist(), strict=True):
        first.setdefault(label, name)
    return dict(zip(order, (first[label] for label in part.tolist()), strict=True))


def exact_duplicate_links(names: pd.Series, keys: pd.Series) -> list[tuple[str, str]]:
    """Links between names whose keys are equal: each with the first of its key; empty keys link nothing."""
    named = pd.DataFrame({"name": names, "key": keys}).dropna().sort_values("name")
    first = named.groupby("key")["name"].transform("first")
    linked = named["name"] != first
    return list(zip(first[linked], named.loc[linked, "name"], strict=True))
