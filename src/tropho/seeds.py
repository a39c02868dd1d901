"""Seeds that depend on what is drawn, never on who draws it or when."""

import numpy as np


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """A 32-bit seed for one sample of one epoch, the same whatever process or order draws it."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1)[0])
