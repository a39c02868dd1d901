"""Do groups of images of one value show a class less often than groups elsewhere? A test that minds their sizes.

A group (slide) is one observation, since white cells on one of its images tell nothing new about the next. But a group
of one image shows a class less easily than a group of ten, so a group is held against those elsewhere of at least as
many images, of which as many are looked at; the value's own smaller groups count with all their images. If nothing was
left out, and a slide's share of images with the class does not hang on how many of its images there are, which of these
groups have the value is chance: they are drawn from the pool without replacement. With groups of one image this is
Fisher's exact test. As groups get smaller the pool takes in more of those elsewhere; that the level holds then too is
not proven but simulated (benchmarks/left_out.py).

Of k groups among g no p-value is below 1 / C(g, k): 0.0012 for 2 of 41. This is the price of knowing nothing about how
slides differ; docs/design.md says what a model of that would risk.
"""

import numpy as np

COMPARED = 1 / 3
"""Of a group no more images count than this share of the groups elsewhere have: else the largest have no like."""
DIGITS = 9  # that sums of fractions are right to; a sum that should be whole must not miss it


def group_size_exact_test(
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
        large = sizes_elsewhere >= count
        pool = len(sizes) + int(large.sum())
        without = _without(sizes, labelled, np.minimum(counted, count)).sum()
        without += _without(sizes_elsewhere[large], labelled_elsewhere[large], count).sum()
        without = round(without, DIGITS)
        for _ in range(int((counted == count).sum())):
            chance = np.clip((without - drawn) / (pool - done), 0, 1)
            empty[1:] = empty[1:] * (1 - chance[1:]) + empty[:-1] * chance[:-1]
            empty[0] *= 1 - chance[0]
            done += 1
        observed += _without(sizes[counted == count], labelled[counted == count], count).sum()
    tail = empty[int(round(observed, DIGITS)) :].sum()  # a part of a group is none, which is on the safe side
    return float(min(1.0, tail)), float(empty[empty > 0][-1])


def _without(sizes: np.ndarray, labelled: np.ndarray, count: np.ndarray | int) -> np.ndarray:
    """Probability that none of `count` images drawn from each group shows the class, (n,); no group is smaller."""
    count = np.broadcast_to(count, sizes.shape)
    chance = np.ones(len(sizes))
    for number in range(int(count.max(initial=0))):
        left = np.maximum(0, sizes - labelled - number) / np.maximum(1, sizes - number)
        chance *= np.where(number < count, left, 1.0)
    return chance
