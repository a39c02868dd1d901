"""Random generators that hang on what is drawn, not on how much was drawn before it."""

import numpy as np

SUBSETS = ("train", "test")  # what the two are drawn from never meets


def generator(seed: int, subset: str, *key: int) -> np.random.Generator:
    """The generator of one thing: a slide (slide,), a field of it (slide, field), ..."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SUBSETS.index(subset), *key)))
