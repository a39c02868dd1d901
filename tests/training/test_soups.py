"""Model soups: means of weights, and which ones a greedy soup takes."""

import pytest
import torch

from tropho.training.checkpoints import Checkpoint, InMemory, Progress
from tropho.training.soups import greedy_soup, mean_of, uniform_soup


def state(value: float, count: int = 1) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), value), "steps": torch.tensor(count)}


def closeness(weights: dict[str, torch.Tensor]) -> float:
    """Best at 2."""
    return -abs(float(weights["weight"][0]) - 2.0)


def test_floats_are_averaged_and_counters_are_the_firsts():
    mean = mean_of([state(1.0, 5), state(2.0, 9), state(6.0, 9)])
    assert mean["weight"].tolist() == [3.0, 3.0]
    assert mean["weight"].dtype == torch.float32
    assert mean["steps"] == 5


def test_a_uniform_soup_takes_all():
    soup, score = uniform_soup([state(2.0), state(8.0)], closeness)
    assert (soup["weight"][0], score) == (5.0, -3.0)


def test_a_greedy_soup_takes_what_does_not_harm():
    soup, score = greedy_soup([state(1.0), state(9.0), state(3.0), state(2.0)], closeness)
    assert (soup["weight"][0], score) == (2.0, 0.0)


def test_a_greedy_soup_of_one_is_that_one():
    soup, score = greedy_soup([state(1.0)], closeness)
    assert (soup["weight"][0], score) == (1.0, -1.0)


def test_the_best_epochs_are_ranked_with_nan_last_and_ties_by_age():
    scores = [float("nan"), 0.5, 0.7, 0.5, 0.9]
    rows = [{"epoch": float(number + 1), "score": score} for number, score in enumerate(scores)]
    progress = Progress([*rows, {"epoch": 6.0}])
    assert progress.best_epochs(10) == [5, 3, 2, 4, 1]
    assert progress.best_epochs(2) == [5, 3]


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_the_kept_epochs_stay_and_others_go(tmp_path, where):
    store = Checkpoint(tmp_path) if where == "disk" else InMemory()
    for epoch in (1, 2, 3):
        store.save_best(epoch, state(float(epoch)))
    progress = Progress(best_epoch=3, kept=[3, 1])
    store.save(progress)
    assert store.load_best(progress)["weight"][0] == 3.0
    assert store.load_kept(1)["weight"][0] == 1.0
    with pytest.raises((FileNotFoundError, KeyError)):
        store.load_kept(2)
