"""The trials of a study as a table."""

from collections.abc import Sequence
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from tropho.tuning.search_space import SearchParam
from tropho.tuning.study_storage import counted, place_of, reason_of

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


def trials_table(study: optuna.Study, searched: list[SearchParam]) -> pd.DataFrame:
    """One row a trial: number, state, score, a column a searched setting, steps, seconds, started, reason.

    A trial that was killed and tried again is no row: the number is that of the first attempt, the rest the last one's.
    `score` of a pruned trial is its last one. `steps` are the epochs after which it was scored last.
    """
    trials = study.get_trials(deepcopy=False)
    rows = [{"number": place_of(trial, trials), **_row(trial, searched)} for trial in counted(trials)]
    columns = [
        "number",
        "state",
        "score",
        *(param.key for param in searched),
        "steps",
        "seconds",
        "started",
        "reason",
    ]
    return pd.DataFrame(rows, columns=columns).astype({"steps": "Int64"})


def _row(trial: FrozenTrial, searched: list[SearchParam]) -> dict[str, Any]:
    return {
        "state": STATES[trial.state],
        "score": trial.value,
        **{param.key: param.value(trial.params[param.key]) for param in searched if param.key in trial.params},
        "steps": trial.last_step,
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "started": trial.datetime_start,
        "reason": reason_of(trial),
    }
