"""Model soups: one model whose weights are the mean of several epochs' of one training (Wortsman et al. 2022)."""

from collections.abc import Callable

import torch

from tropho.training.checkpoints import State

INGREDIENTS = 5
"""Epochs of a fold, the best validated ones, that a soup is made of at most."""


def mean_of(states: list[State]) -> State:
    """The mean of every floating tensor, statistics of batch normalisation included; counters are the first's."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


def uniform_soup(states: list[State], score: Callable[[State], float]) -> tuple[State, float]:
    """The mean of all, and its score, which may be less than the best one's."""
    soup = mean_of(states)
    return soup, score(soup)


def greedy_soup(states: list[State], score: Callable[[State], float]) -> tuple[State, float]:
    """From the first, each in turn is taken in if the mean with it scores no less; the mean and its score.

    Args:
        states: by falling score; the soup is never worse on validation than the first.
        score: of a model with these weights, on validation.
    """
    taken, best = states[:1], score(states[0])
    for state in states[1:]:
        found = score(mean_of([*taken, state]))
        if found >= best:
            taken, best = [*taken, state], found
    return mean_of(taken), best
