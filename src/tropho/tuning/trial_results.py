"""Trials of a study as a table, figures and lines on a terminal."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import optuna
import pandas as pd
from matplotlib import pyplot as plt
from optuna.trial import FrozenTrial, TrialState

from tropho.files import atomic_path
from tropho.images.fonts import save_png
from tropho.log import info
from tropho.plots import style
from tropho.plots.training_plots import plot_history, plot_settings
from tropho.tuning.space import SearchParam
from tropho.tuning.storage import REASON, first_attempt

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
MIN_TRIALS_FOR_IMPORTANCE = 4


def merge_attempts(study: optuna.Study) -> optuna.Study:
    """Copy a study into memory without waiting trials and those that a later trial repeated.

    A repeated trial stands where its first attempt did, so that the copy numbers trials from 0 without gaps.
    """
    trials = study.get_trials(deepcopy=False)
    retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    last = [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in retried]
    merged = optuna.create_study(study_name=study.study_name, direction="maximize")
    merged.add_trials(sorted(last, key=first_attempt))
    return merged


def best_trial(merged: optuna.Study) -> FrozenTrial | None:
    """Find the complete trial with the highest score, the earliest of equals; None if none is complete."""
    complete = merged.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)


def setting_values(trial: FrozenTrial, params: list[SearchParam]) -> dict[str, Any]:
    """Get a trial's settings, by dotted key."""
    return {param.key: param.value(trial.params[param.key]) for param in params if param.key in trial.params}


def failure_reason(trial: FrozenTrial) -> str | None:
    """Get the reason why a trial failed; None if it did not."""
    return trial.user_attrs.get(REASON, "interrupted") if trial.state == TrialState.FAIL else None


def trials_table(merged: optuna.Study, params: list[SearchParam]) -> pd.DataFrame:
    """Make a table of one row a trial of a merged study.

    Returns:
        number, state, score (of a pruned trial its last), a column a searched setting, steps (epochs at its last
        score), seconds, started, reason (of a failure).
    """
    rows = [
        {
            "number": trial.number,
            "state": STATES[trial.state],
            "score": trial.value,
            **setting_values(trial, params),
            "steps": trial.last_step,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "started": trial.datetime_start,
            "reason": failure_reason(trial),
        }
        for trial in merged.get_trials(deepcopy=False)
    ]
    keys = [param.key for param in params]
    columns = ["number", "state", "score", *keys, "steps", "seconds", "started", "reason"]
    return pd.DataFrame(rows, columns=columns).astype({"steps": "Int64"})


def plot_trials(merged: optuna.Study, trials: pd.DataFrame, folder: Path) -> None:
    """Draw history.png, settings.png and, of enough complete trials, Optuna's importance.png.

    Args:
        merged: the study.
        trials: result of `trials_table`.
        folder: of the PNG files.
    """
    keys = [name for name in map(str, trials) if "." in name]
    drawn = {"history": plot_history(trials), "settings": plot_settings(trials, keys)}
    for name, figure in drawn.items():
        if figure is not None:
            style.save(figure, folder / f"{name}.png")
    plots = optuna.visualization.matplotlib
    scores = [trial.value for trial in merged.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(scores) >= MIN_TRIALS_FOR_IMPORTANCE and len(set(scores)) > 1:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        _save(lambda: plots.plot_param_importances(merged, evaluator=evaluator), folder / "importance.png")


def _save(plot: Callable[[], Any], path: Path) -> None:
    """Save a plot of Optuna, which is made by pyplot in a style of its own, and leave pyplot as it was."""
    with mpl.rc_context({"backend": "agg", "figure.figsize": (9.0, 4.5)}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = np.ravel(plot())[0].get_figure()
        with atomic_path(path) as temporary:
            save_png(figure, temporary, dpi=style.DPI, bbox_inches="tight")
        plt.close(figure)


def log_trial(merged: optuna.Study, number: int, n_trials: int, params: list[SearchParam]) -> None:
    """Print a line on a finished trial if standard error is a terminal."""
    if not sys.stderr.isatty():
        return
    trial, best = merged.get_trials(deepcopy=False)[number], best_trial(merged)
    score = "" if trial.value is None else f"  {trial.value:.4f}"
    reason = f"  {failure_reason(trial)}" if trial.state == TrialState.FAIL else ""
    rank = "" if best is None else "  best so far" if best.number == number else f"  best {best.value:.4f}"
    values = [
        f"  {key}={value:.3g}" if isinstance(value, float) else f"  {key}={value}"
        for key, value in setting_values(trial, params).items()
    ]
    info(f"trial {number} ({number + 1} of {n_trials})  {STATES[trial.state]}{score}{reason}{rank}{''.join(values)}")
