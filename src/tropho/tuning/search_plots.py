"""Pictures of a search: how it went, what each setting did, which settings matter."""

import warnings
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from tropho.plots import style
from tropho.tuning.search_space import SearchParam
from tropho.tuning.study_storage import counted, place_of
from tropho.tuning.trial_table import best_of

MARKS = {TrialState.COMPLETE: ("complete", "o", 0), TrialState.PRUNED: ("pruned", "v", 4)}
IMPORTANCE_FROM = 4
"""Complete trials below which the importance of a setting can't be told."""


def draw(study: optuna.Study, searched: list[SearchParam], to: Path) -> None:
    """Write history.png, settings.png and, from four complete trials on, importance.png into a folder."""
    attempts = study.get_trials(deepcopy=False)
    trials = counted(attempts)
    _history(trials, lambda trial: place_of(trial, attempts), to / "history.png")
    _settings(trials, searched, to / "settings.png")
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) >= IMPORTANCE_FROM and len({trial.value for trial in complete}) > 1:
        _importance(study, to / "importance.png")


def _history(trials: list[FrozenTrial], place: Callable[[FrozenTrial], int], to: Path) -> None:
    figure, (axes,) = style.subplots(1, 1, size=(7.0, 3.8))
    _scatter(axes, trials, place)
    failed = [place(trial) for trial in trials if trial.state == TrialState.FAIL]
    if failed:
        low = axes.get_ylim()[0]
        axes.plot(failed, [low] * len(failed), "x", color=style.PALETTE[1], label="failed", clip_on=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    if complete:
        best = list(accumulate((float(trial.value or 0) for trial in complete), max))
        numbers = [place(trial) for trial in complete]
        axes.step(numbers, best, where="post", color=style.INK, linewidth=1.2, label="best so far")
    else:
        style.say(axes, "No trial came to its end.")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.title(axes, "Score of each trial")
    style.label(axes, "trial", "score")
    style.legend(axes, outside=True)
    style.save(figure, to)


def _settings(trials: list[FrozenTrial], searched: list[SearchParam], to: Path) -> None:
    figure, panels = style.subplots(len(searched), 3)
    best = best_of(trials)
    for axes, param in zip(panels, searched, strict=True):
        place = _places(axes, param)
        tried = [trial for trial in trials if param.key in trial.params]
        _scatter(axes, tried, lambda trial, param=param, place=place: place(trial.params[param.key]))
        if best is not None and param.key in best.params:
            x, y = [place(best.params[param.key])], [float(best.value or 0)]
            axes.scatter(x, y, s=110, facecolors="none", edgecolors=style.PALETTE[2], linewidths=2, label="best")
        style.label(axes, style.plain(param.key), "score")
    style.legend(panels[0])
    style.save(figure, to)


def _places(axes: Axes, param: SearchParam) -> Any:
    """Prepare the x axis for a searched setting; returns what places a stored value on it."""
    if param.choices is not None:
        stored = list(param.choices)
        style.class_ticks(axes, [str(param.choices[each]) for each in stored])
        axes.set_xlim(-0.5, len(stored) - 0.5)
        return stored.index
    range_: Any = param.distribution
    if range_.log:
        axes.set_xscale("log")
        axes.set_xlim(range_.low * 0.9, range_.high * 1.1)
    return lambda value: value


def _scatter(axes: Axes, trials: list[FrozenTrial], place: Any) -> None:
    for state, (label, mark, colour) in MARKS.items():
        those = [trial for trial in trials if trial.state == state and trial.value is not None]
        if those:
            values = [float(trial.value or 0) for trial in those]
            axes.scatter(
                [place(trial) for trial in those],
                values,
                marker=mark,
                s=32,
                color=style.PALETTE[colour],
                label=label,
            )


def _importance(study: optuna.Study, to: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    names, values = list(shares)[::-1], list(shares.values())[::-1]
    figure, (axes,) = style.subplots(1, 1, size=(6.0, 1.4 + 0.35 * len(names)))
    axes.barh(range(len(names)), values, color=style.PALETTE[0])
    style.class_ticks(axes, names, "y")
    axes.set_xlim(0, 1)
    style.title(axes, "Which settings matter")
    style.label(axes, "share of the score's variance (fANOVA)", "")
    style.save(figure, to)
