"""What searches on out-of-fold predictions share: even points, each part of the groups left out, gains that hold."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats
from tropho.log import track
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.metrics.leaderboard_map import Ranking, score_gain

Tried = list[tuple[Mapping[str, Any], dict[str, Floats]]]
"""Values tried by class, and the average precision by class that they came to, one for each row of `part_weights`."""


def part_weights(image_ids: list[str], part: pd.Series) -> Floats:
    """(1 + parts, images) how each image counts: all alike, then with each part left out.

    `part` is the number of each image's part, by image_id.
    """
    of_image = part.loc[image_ids].to_numpy()
    numbers = np.arange(of_image.max() + 1)
    return np.vstack([np.ones(len(of_image)), of_image[None, :] != numbers[:, None]]).astype(np.float64)


def run_quasi_random_trials(
    objective: Callable[[Any], float], trials: int, what: str, first: dict[str, float] | None = None
) -> None:
    """Call `objective` with so many Optuna trials, `first` (if given) being the parameters of the first.

    Progress is shown under the name `what`.

    Points are drawn evenly (quasi-random), not led by earlier scores: what was learned on a part could otherwise reach
    the values that it is judged by. So one study can serve all rows of `part_weights`.
    """
    import warnings

    import optuna
    from optuna.samplers import QMCSampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls this sampler experimental
        sampler = QMCSampler(seed=0, warn_independent_sampling=False)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    if first:
        study.enqueue_trial(first)
    for _ in track(range(trials), what):
        trial = study.ask()
        study.tell(trial, objective(trial))


def best_by_class(tried: Tried, row: int) -> dict[str, Any]:
    """Class by class the value with the best average precision in this row; the first of equals.

    Classes without true boxes have none.
    """
    best = {}
    for name in tried[0][0]:
        values = [precisions[name][row] for _, precisions in tried if name in precisions]
        if np.isfinite(values).any():
            best[name] = tried[int(np.nanargmax(values))][0][name]
    return best


def describe_gains(fitted: Mapping[str, Any]) -> list[str]:
    """Say what each fitted step of post-processing gained on groups it was not fitted on, and if it is used."""
    return [
        f"Fitted {step}: the out-of-fold score changes by {found['value']:+.4f} (95 % interval {found['low']:+.4f} to "
        f"{found['high']:+.4f}, {found['groups']} groups, at least {FEW_GROUPS} needed); "
        f"it is {'used' if found['kept'] else 'not used'}."
        for step, found in fitted.get("gains", {}).items()
    ]


def paired_gain(ours: Ranking, theirs: Ranking, groups: pd.Series) -> dict[str, Any]:
    """Gain (value, low, high) of one ranking over another, by how many "groups", and whether it is "kept".

    It is if low is above zero and there are at least FEW_GROUPS groups: the interval of fewer is too narrow to tell a
    gain from chance.
    """
    found, count = score_gain(ours, theirs, groups), int(groups.nunique(dropna=False))
    return {**found, "groups": count, "kept": bool(found["low"] > 0) and count >= FEW_GROUPS}
