"""Learning-rate schedules as pure functions of progress, so that a resumed run needs no schedule state.

A schedule is a factor of the peak rate `train.lr`. Time is counted in epochs, with fractions within one.
"""

import math
from collections.abc import Sequence

from tropho.config.task_config import TrainConfig

ONE_CYCLE_RISE = 0.3  # share of training with a rising rate (Smith and Topin, 2018, as popularised by fastai)
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4 / 25


def lr_at(train: TrainConfig, epoch: float, scores: Sequence[float] = ()) -> float:
    """The rate at a point of training.

    Args:
        train: the settings: schedule, lr, epochs, warmup_epochs, decay_epochs, decay_rate.
        epoch: epochs done so far, from 0.0 to train.epochs.
        scores: validation scores so far, higher is better; only `plateau` looks at them.
    """
    if train.schedule == "one_cycle":
        return train.lr * _one_cycle(epoch / train.epochs)
    if epoch < train.warmup_epochs:
        return train.lr * max(epoch / train.warmup_epochs, 1e-3)
    return train.lr * _after_warmup(train, epoch, scores)


def _after_warmup(train: TrainConfig, epoch: float, scores: Sequence[float]) -> float:
    match train.schedule:
        case "cosine":
            rest = max(train.epochs - train.warmup_epochs, 1e-9)
            return 0.5 * (1 + math.cos(math.pi * min((epoch - train.warmup_epochs) / rest, 1.0)))
        case "step":
            return train.decay_rate ** (int(epoch) // train.decay_epochs)
        case "exponential":
            return train.decay_rate ** int(epoch)
        case "plateau":
            return train.decay_rate ** count_plateaus(scores, train.decay_epochs)
        case _:
            return 1.0


def _one_cycle(progress: float) -> float:
    """Cosine up over the first part, cosine down to nearly nothing over the rest; `progress` is in 0..1."""
    progress = min(max(progress, 0.0), 1.0)
    if progress < ONE_CYCLE_RISE:
        return _cosine(ONE_CYCLE_START, 1.0, progress / ONE_CYCLE_RISE)
    return _cosine(1.0, ONE_CYCLE_END, (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def count_plateaus(scores: Sequence[float], patience: int) -> int:
    """How often `patience` validations in a row have passed without a new best score."""
    best, waited, drops = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, waited = score, 0
        else:
            waited += 1
        if waited == patience:
            drops, waited = drops + 1, 0
    return drops
