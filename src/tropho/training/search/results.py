"""The trials of a study as a table."""

from collections.abc import Sequence
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from tropho.training.search.space import Knob
from tropho.training.search.storage import counted, place_of, reason_of

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The complete trial with the highest score, the earliest of equals."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    return max(complete, key=lambda trial: (trial.value, -place_of(trial, trials)), default=None)


def trials_table(study: optuna.Study, knobs: list[Knob]) -> pd.DataFrame:
    """One row a trial: number, state, score, a column a knob, steps, seconds, started, reason.

    A trial that was killed and tried again is no row: the number is that of the first attempt, the rest the last one's.
    `score` of a pruned trial is its last one. `steps` are the epochs after which it was scored last.
    """
    trials = study.get_trials(deepcopy=False)
    rows = [{"number": place_of(trial, trials), **_row(trial, knobs)} for trial in counted(trials)]
    columns = [
        "number",
        "state",
        "score",
        *(knob.key for knob in knobs),
        "steps",
        "seconds",
        "started",
        "reason",
    ]
    return pd.DataFrame(rows, columns=columns).astype({"steps": "Int64"})


def _row(trial: FrozenTrial, knobs: list[Knob]) -> dict[str, Any]:
    return {
        "state": STATES[trial.state],
        "score": trial.value,
        **{knob.key: knob.value(trial.params[knob.key]) for knob in knobs if knob.key in trial.params},
        "steps": trial.last_step,
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "started": trial.datetime_start,
        "reason": reason_of(trial),
    }
