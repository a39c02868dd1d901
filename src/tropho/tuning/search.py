"""Trials of settings, a total of them over any number of interruptions, and the best one's choice."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError, UsageError
from tropho.files import write_json
from tropho.tables import write_table
from tropho.tracking.tracker import PrunedRunError
from tropho.tuning.search_plots import draw
from tropho.tuning.search_space import parse_space
from tropho.tuning.study_storage import (
    REASON,
    counted,
    open_storage,
    place_of,
    reason_of,
    retry,
    retry_running,
    storage_address,
)
from tropho.tuning.trial_log import TrialLines
from tropho.tuning.trial_sampler import SeededSampler
from tropho.tuning.trial_table import best_of, trials_table

_A_TRIAL_S_OWN_FAULT = (DataError, UsageError, MemoryError, torch.OutOfMemoryError)
"""Errors that a trial's settings may bring about; others, such as a network that is down, end the search."""


class Choice(TypedDict):
    """What a search came to."""

    study_name: str
    params: dict[str, Any]
    """Dotted keys -> values of the best trial."""
    value: float | None
    """Its score; None where no search was made."""
    trial: int | None
    """Its number."""
    trials: dict[str, int]
    """How many of the total were complete, pruned, failed."""


class PrunedError(optuna.TrialPruned, PrunedRunError):  # type: ignore[misc]
    """The trial does worse than the median of the others at the same step."""

    outcome = "PRUNED"


class TrialReporter:
    """Takes a trial's scores while it runs, and ends the trial if it does badly."""

    def __init__(self, trial: optuna.Trial, number: int, parameters: dict[str, Any]) -> None:
        self.number = number
        """The trial's place among all, from 0; the retry of a killed trial has that one's."""
        self.parameters = parameters
        """Dotted keys -> the trial's values."""
        self._trial = trial

    def __call__(self, step: int, score: float) -> None:
        """TrialReporter the score that is maximised after `step` epochs, counted from 1.

        Raises:
            DataError: the score is undefined.
            PrunedError: an `optuna.TrialPruned`; to be let through.
        """
        if not math.isfinite(score):
            raise DataError(
                f"The score after epoch {step} is undefined: the images that judge the search show nothing to find; "
                "set tune.trials to 0, or another train.seed."
            )
        self._trial.report(score, step)
        if self._trial.should_prune():
            raise PrunedError(f"below the median after epoch {step}")


Objective = Callable[[TaskConfig, TrialReporter], float]


class Search:
    """A study of `settings.tune.trials` trials over `settings.tune.space`, kept in a database."""

    def __init__(self, settings: TaskConfig, study_name: str, root: Path) -> None:
        """Check the space, and open the study or begin it.

        Args:
            settings: those that the space departs from; they are the first trial.
            study_name: must change with anything that makes trials incomparable: data, space, code, epochs.
            root: of the repository, which holds the default database.

        Raises:
            UsageError: the space or the storage's address is wrong.
            OutsideError: the storage can't be reached.
        """
        self._settings = settings
        self._knobs = parse_space(settings)
        address = storage_address(settings.tune.storage, root)
        self._shared = not address.startswith("sqlite:")
        self._total = settings.tune.trials
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        startup = min(10, max(3, self._total // 3))
        self.study = optuna.create_study(
            study_name=study_name,
            storage=open_storage(address),
            direction="maximize",
            sampler=SeededSampler(settings.train.seed, startup),
            # The first epoch tells little, and a median of fewer than three trials less.
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2),
            load_if_exists=True,
        )

    @property
    def run_id(self) -> str | None:
        """The tracked run that trials are nested under, kept so that a later process goes on in it."""
        return self.study.user_attrs.get("run_id")

    @run_id.setter
    def run_id(self, run_id: str | None) -> None:
        if run_id is not None:  # None while the tracking server is away; the run is still there
            self.study.set_user_attr("run_id", run_id)

    def run(self, objective: Objective) -> dict[str, Any]:
        """Run what is left of the total; the best trial's settings, by dotted key.

        The settings as they are come first, so that at the epochs of a trial the choice is never worse than
        they are. A trial that fails by its own settings is kept with its reason, and the search goes on; what
        an interrupted search left behind is tried again. Several processes may exceed the total by one trial each.

        Raises:
            DataError: no trial came to its end.
        """
        if not self._shared:
            retry_running(self.study)
        if not self.study.get_trials(deepcopy=False):
            own = {param.key: param.nearest(_setting(self._settings, param.key)) for param in self._knobs}
            known = {key: value for key, value in own.items() if value is not None}
            self.study.enqueue_trial(known)
        lines = TrialLines(self._total)
        while self._left() > 0:
            self.study.optimize(
                lambda trial: self._evaluate(trial, objective),
                n_trials=1,
                catch=_A_TRIAL_S_OWN_FAULT,
                callbacks=[lambda study, trial: lines.done(study, trial, self._values(trial))],
            )
        return self.choice["params"]

    @property
    def choice(self) -> Choice:
        """What the search has come to so far; raise DataError if no trial came to its end."""
        trials = counted(self.study.get_trials(deepcopy=False))
        best = best_of(trials)
        if best is None:
            reasons = [reason_of(trial) for trial in trials if trial.state == TrialState.FAIL] or ["none was run"]
            raise DataError(f"No trial of the search came to its end; the last one: {reasons[-1]}")
        names = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        return Choice(
            study_name=self.study.study_name,
            params=self._values(best),
            value=best.value,
            trial=place_of(best, trials),
            trials={name: sum(trial.state == state for trial in trials) for name, state in names.items()},
        )

    def write(self, folder: Path, images: dict[str, int]) -> None:
        """Write choice.json, trials.csv and the figures into a folder; `images` says how many train and judge."""
        write_json(folder / "choice.json", {**self.choice, "images": images})
        write_table(trials_table(self.study, self._knobs), folder / "trials.csv")
        draw(self.study, self._knobs, folder)

    def _left(self) -> int:
        return self._total - len(counted(self.study.get_trials(deepcopy=False)))

    def _evaluate(self, trial: optuna.Trial, objective: Objective) -> float:
        values = {param.key: param.suggest(trial) for param in self._knobs}
        try:
            trials = self.study.get_trials(deepcopy=False)
            report = TrialReporter(trial, place_of(trials[trial.number], trials), values)
            score = float(objective(with_overrides(self._settings, values), report))
            if not math.isfinite(score):
                raise DataError("The trial's score is undefined.")
        except _A_TRIAL_S_OWN_FAULT as error:
            trial.set_user_attr(REASON, f"{error or type(error).__name__}")
            raise
        except optuna.TrialPruned:
            raise
        except BaseException:  # Ctrl-C, or a fault outside: nothing is known of these parameters yet
            retry(self.study, self.study.get_trials(deepcopy=False)[trial.number])
            raise
        return score

    def _values(self, trial: FrozenTrial) -> dict[str, Any]:
        return {param.key: param.value(trial.params[param.key]) for param in self._knobs if param.key in trial.params}


def _setting(settings: TaskConfig, key: str) -> Any:
    section, _, field = key.partition(".")
    return getattr(getattr(settings, section), field)
