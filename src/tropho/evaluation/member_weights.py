"""How much each model of an ensemble counts, fitted on predictions for images that it was not trained on."""

import numpy as np
from numpy.typing import NDArray


def mixture_weights(probabilities: NDArray[np.float64], steps: int = 2000, tolerance: float = 1e-9) -> list[float]:
    """Weights >= 0 with sum 1 that give the mixture of models the least log-loss.

    Expectation-maximisation for the proportions of a mixture (Dempster et al. 1977): the problem is convex and no
    step makes it worse.

    Args:
        probabilities: (N, models), what each model gave the true class of each image.
        steps: at most.
        tolerance: ends when no weight moves by more.
    """
    count = probabilities.shape[1]
    weights = np.full(count, 1.0 / count)
    likelihood = np.maximum(probabilities, np.finfo(np.float64).tiny)
    for _ in range(steps if len(likelihood) else 0):
        shares = likelihood * weights
        moved = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
        done = np.abs(moved - weights).max() < tolerance
        weights = moved
        if done:
            break
    return [float(weight) for weight in weights]
