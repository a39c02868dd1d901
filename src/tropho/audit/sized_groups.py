"""Do groups of images of one value show a class less often than groups elsewhere? A test that minds their sizes.

A group (slide) is one observation, since white cells on one of its images are no news on the next. But a group of one
image shows a class less easily than a group of ten, so a group is held against those of at least as many images, of
which as many are looked at. If nothing was left out, which of these groups have the value is chance: they are drawn
from the pool without replacement, as in Fisher's exact test, which this is where all groups are of one image. As groups
get smaller the pool takes in more of those elsewhere; that the level holds then too is not proven but simulated
(benchmarks/left_out.py).

Of k groups among g no p-value is below 1 / C(g, k): 0.0012 for 2 of 41. This is the price of knowing nothing about how
slides differ; docs/design.md says what a model of that would risk.
"""

import numpy as np

COMPARED = 1 / 3
"""Of a group no more images count than this share of the groups elsewhere have: else the largest have no like."""


def shown_less(
    sizes: np.ndarray, labelled: np.ndarray, sizes_elsewhere: np.ndarray, labelled_elsewhere: np.ndarray
) -> tuple[float, float]:
    """One-sided p-value of as few groups of the value showing the class, and the least that such counts could give.

    Args:
        sizes: images of each group of the value, (k,) int from 1.
        labelled: how many of them show the class, (k,) int.
        sizes_elsewhere: of each group elsewhere, (g,) int from 1.
        labelled_elsewhere: likewise, (g,) int.

    Returns:
        (p, least p); both are 1 without groups elsewhere.
    """
    if not len(sizes_elsewhere):
        return 1.0, 1.0
    most = np.sort(sizes_elsewhere)[-int(np.ceil(COMPARED * len(sizes_elsewhere)))]
    counted = np.minimum(sizes, most)
    empty = np.zeros(len(sizes) + 1)  # probability of each number of groups without the class among those drawn
    empty[0] = 1.0
    drawn = np.arange(len(empty))
    done, observed = 0, 0.0
    for count in np.unique(counted)[::-1]:
        pool = np.concatenate([sizes[counted >= count], sizes_elsewhere[sizes_elsewhere >= count]])
        shows = np.concatenate([labelled[counted >= count], labelled_elsewhere[sizes_elsewhere >= count]])
        without = _without(pool, shows, count).sum()
        for _ in range(int((counted == count).sum())):
            chance = np.clip((without - drawn) / (len(pool) - done), 0, 1)
            empty[1:] = empty[1:] * (1 - chance[1:]) + empty[:-1] * chance[:-1]
            empty[0] *= 1 - chance[0]
            done += 1
        observed += _without(sizes[counted == count], labelled[counted == count], count).sum()
    tail = empty[int(observed + 1e-9) :].sum()  # a part of a group is none, which is on the safe side
    return float(min(1.0, tail)), float(empty[empty > 0][-1])


def _without(sizes: np.ndarray, labelled: np.ndarray, count: int) -> np.ndarray:
    """Probability that none of `count` images drawn from each group shows the class, (n,); no group is smaller."""
    chance = np.ones(len(sizes))
    for number in range(count):
        chance *= np.maximum(0, sizes - labelled - number) / (sizes - number)
    return chance
