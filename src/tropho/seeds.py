"""Seeds of single samples."""

import numpy as np


def sample_seed(seed: int, epoch: int, index: int, draw: int = 0) -> int:
    """Return the 32-bit seed of one sample in one epoch, independent of process and order.

    `draw` counts the draws of the same sample in an epoch, from 0.
    """
    return int(np.random.SeedSequence([seed, epoch, index, draw]).generate_state(1)[0])
