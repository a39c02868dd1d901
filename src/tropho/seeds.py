"""Seeds that depend on what is drawn, never on who draws it or when."""

import numpy as np


def sample_seed(seed: int, epoch: int, index: int, draw: int = 0) -> int:
    """Return a 32-bit seed for one sample of one epoch, the same whatever process or order draws it.

    `draw` tells apart the draws of a sample that comes several times in an epoch; it counts from 0.
    """
    return int(np.random.SeedSequence([seed, epoch, index, draw]).generate_state(1)[0])
