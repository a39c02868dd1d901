"""The order of training samples: a function of seed and epoch alone."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int, int]]):
    """Yields (epoch, index, draw), so that a dataset can seed each sample's augmentation by them.

    `draw` counts from 0 how often the index has come before in the epoch; it is 0 unless sampling is balanced.

    Args:
        strata: one name a sample; its length is the number of samples.
        seed: of the order.
        balanced: draw with replacement so that every stratum comes equally often, instead of shuffling.
    """

    def __init__(self, strata: Sequence[str], seed: int, balanced: bool = False) -> None:
        self.strata = list(strata)
        self.seed = seed
        self.balanced = balanced
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.strata)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.balanced:
            counts = Counter(self.strata)
            weights = np.array([1 / (len(counts) * counts[stratum]) for stratum in self.strata])
            order = rng.choice(len(self), size=len(self), p=weights)
        else:
            order = rng.permutation(len(self))
        drawn: Counter[int] = Counter()
        for index in order.tolist():
            yield self.epoch, index, drawn[index]
            drawn[index] += 1
