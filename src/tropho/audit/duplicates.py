"""Which images show the same: equal bytes, equal pixels, or nearly equal pictures; and the groups they form.

A perceptual hash alone is not enough: plain pictures (single cells, scans on black) share their few bits, and
chains of such pairs run through the whole set. So a pair must also agree as thumbnails.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LIKENESS = 0.97
"""Least correlation of the thumbnails of near-duplicates.

On 1,750 MRI slices, pairs above it are one slice saved or windowed anew, or its neighbour in the same head;
of 4,332 cells cropped from smears no pair is above it within 4 bits."""
_CONTRAST = 2.0  # grey levels; below this spread a thumbnail is too plain to be compared
_BLOCK = 4_000_000  # pairs compared at once: 32 MB of hashes
_CHECKED = 20_000  # thumbnail pairs correlated at once: 80 MB each


def near_pairs(
    hashes: np.ndarray, thumbs: np.ndarray, bits: int, likeness: float = LIKENESS
) -> list[tuple[int, int, int]]:
    """Pairs of pictures that nearly agree.

    Args:
        hashes: (N,) uint64 perceptual hashes.
        thumbs: (N, side, side) uint8 grey thumbnails.
        bits: most bits in which the hashes of a pair differ.
        likeness: least correlation of a pair's thumbnails.

    Returns:
        (i, j, differing bits) with i < j.
    """
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    plain = _CONTRAST * np.sqrt(flat.shape[1])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), plain)
    pairs = []
    for first, second, distance in _close_hashes(hashes, bits):
        for start in range(0, len(first), _CHECKED):
            part = slice(start, start + _CHECKED)
            alike = np.einsum("ij,ij->i", flat[first[part]], flat[second[part]]) >= likeness
            found = (first[part][alike], second[part][alike], distance[part][alike])
            pairs += list(zip(*(values.tolist() for values in found), strict=True))
    return pairs


def _close_hashes(hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Index pairs (i < j) of hashes that differ in at most `bits` bits, and in how many, block by block."""
    step = max(1, _BLOCK // max(1, len(hashes)))
    for start in range(0, len(hashes), step):
        block = hashes[start : start + step]
        distance = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        row, column = np.nonzero(distance <= bits)
        upper = column > row
        row, column = row[upper], column[upper]
        yield row + start, column + start, distance[row, column]


def components(names: Sequence[str], links: list[tuple[str, str]]) -> dict[str, str]:
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


def equal_links(names: pd.Series, keys: pd.Series) -> list[tuple[str, str]]:
    """Links between names whose keys are equal: each with the first of its key; empty keys link nothing."""
    named = pd.DataFrame({"name": names, "key": keys}).dropna().sort_values("name")
    first = named.groupby("key")["name"].transform("first")
    linked = named["name"] != first
    return list(zip(first[linked], named.loc[linked, "name"], strict=True))
