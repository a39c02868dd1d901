"""A study: trials of settings up to a total, over any number of interruptions, and the best trial's settings."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError, UsageError
from tropho.files import write_json
from tropho.tables import write_table
from tropho.tracking import PrunedRunError
from tropho.tuning.space import parse_space, setting_of
from tropho.tuning.storage import REASON, merged_number, open_storage, retry, retry_running, storage_address
from tropho.tuning.trial_results import (
    best_trial,
    failure_reason,
    log_trial,
    merge_attempts,
    plot_trials,
    setting_values,
    trials_table,
)

_TRIAL_ERRORS = (DataError, UsageError, MemoryError, torch.OutOfMemoryError)
"""Errors that a trial's settings may cause; others, such as a lost network, end the search."""


class PrunedError(optuna.TrialPruned, PrunedRunError):
    """The trial scores below the median of the others at the same epoch."""

    outcome = "PRUNED"


class TrialReporter:
    """Takes a trial's scores while it trains, and prunes it."""

    def __init__(self, trial: optuna.Trial, number: int, parameters: dict[str, Any]) -> None:
        self.number = number
        """From 0; a retry has the number of the trial that was killed."""
        self.parameters = parameters
        """Dotted keys -> the trial's values."""
        self._trial = trial

    def __call__(self, epoch: int, score: float) -> None:
        """Report the score after `epoch` epochs; higher is better.

        Raises:
            DataError: the score is undefined.
            PrunedError: the trial is to end; let it pass.
        """
        if not math.isfinite(score):
            raise DataError(
                f"The score after epoch {epoch} is undefined: the images that judge the search show nothing to find; "
                "set tune.trials to 0, or another train.seed."
            )
        self._trial.report(score, epoch)
        if self._trial.should_prune():
            raise PrunedError(f"below the median after epoch {epoch}")


class SeededSampler(optuna.samplers.TPESampler):
    """TPE that is seeded before every trial by `seed` + the trial's number.

    A resumed study tries what an uninterrupted one tries, and processes that start together differ.
    """

    def __init__(self, seed: int, n_startup_trials: int) -> None:
        self._first_seed = seed
        super().__init__(seed=seed, n_startup_trials=n_startup_trials)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed the sampler anew."""
        number = merged_number(trial, study.get_trials(deepcopy=False))
        super().__init__(seed=self._first_seed + number, n_startup_trials=self._n_startup_trials)
        super().before_trial(study, trial)


Objective = Callable[[TaskConfig, TrialReporter], float]


class Search:
    """A study of `settings.tune.trials` trials over `settings.tune.space`, in a database."""

    def __init__(self, settings: TaskConfig, study_name: str, root: Path) -> None:
        """Check the space, and open or create the study.

        Args:
            settings: the first trial's.
            study_name: must change with all that makes trials incomparable: data, space, code, epochs.
            root: of the repository, which holds the default database.

        Raises:
            UsageError: the space or the storage's address is wrong.
            ExternalError: the storage can't be reached.
        """
        self._settings = settings
        self._params = parse_space(settings)
        address = storage_address(settings.tune.storage, root)
        self._is_shared = not address.startswith("sqlite:")
        self._n_trials = settings.tune.trials
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(
            study_name=study_name,
            storage=open_storage(address),
            direction="maximize",
            sampler=SeededSampler(settings.train.seed, min(10, max(3, self._n_trials // 3))),
            # The first epoch says little, and so does a median of fewer than three trials.
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2),
            load_if_exists=True,
        )

    @property
    def run_id(self) -> str | None:
        """Id of the tracked run that holds the trials, kept in the study for a process that resumes it."""
        return self.study.user_attrs.get("run_id")

    @run_id.setter
    def run_id(self, run_id: str | None) -> None:
        if run_id is not None:
            self.study.set_user_attr("run_id", run_id)

    def run(self, objective: Objective) -> dict[str, Any]:
        """Run the remaining trials, the given settings first; return the best trial's, by dotted key.

        A trial that fails by its own settings is kept with its reason; interrupted ones are retried. Several processes
        may exceed the total by one trial each.

        Raises:
            DataError: no trial is complete.
        """
        if not self._is_shared:
            retry_running(self.study)
        if not self.study.get_trials(deepcopy=False):
            first = {param.key: param.nearest(setting_of(self._settings, param.key)) for param in self._params}
            self.study.enqueue_trial({key: value for key, value in first.items() if value is not None})
        while len(merge_attempts(self.study).trials) < self._n_trials:
            self.study.optimize(
                lambda trial: self._evaluate(trial, objective),
                n_trials=1,
                catch=_TRIAL_ERRORS,
                callbacks=[self._log],
            )
        return dict(self.choice["params"])

    @property
    def choice(self) -> dict[str, Any]:
        """Result of the trials so far; DataError if none is complete.

        It has "study_name"; of the best trial "params" (values by dotted key), "value" (score) and "trial"
        (number); and "trials", the numbers of complete, pruned and failed ones.
        """
        merged = merge_attempts(self.study)
        best, trials = best_trial(merged), merged.get_trials(deepcopy=False)
        if best is None:
            reasons = [reason for trial in trials if (reason := failure_reason(trial))] or ["none was run"]
            raise DataError(f"No trial of the search came to its end; the last one: {reasons[-1]}")
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        return {
            "study_name": self.study.study_name,
            "params": setting_values(best, self._params),
            "value": best.value,
            "trial": best.number,
            "trials": {name: sum(trial.state == state for trial in trials) for name, state in states.items()},
        }

    def write(self, folder: Path, images: dict[str, int]) -> None:
        """Write choice.json (with `images`, numbers of images), trials.csv and the figures into a folder."""
        merged = merge_attempts(self.study)
        write_json(folder / "choice.json", {**self.choice, "images": images})
        trials = trials_table(merged, self._params)
        write_table(trials, folder / "trials.csv")
        plot_trials(merged, trials, folder)

    def _evaluate(self, trial: optuna.Trial, objective: Objective) -> float:
        values = {param.key: param.suggest(trial) for param in self._params}
        try:
            trials = self.study.get_trials(deepcopy=False)
            reporter = TrialReporter(trial, merged_number(trials[trial.number], trials), values)
            score = float(objective(with_overrides(self._settings, values), reporter))
            if not math.isfinite(score):
                raise DataError("The trial's score is undefined.")
        except _TRIAL_ERRORS as error:
            trial.set_user_attr(REASON, f"{error or type(error).__name__}")
            raise
        except optuna.TrialPruned:
            raise
        except BaseException as error:  # Ctrl-C or an outage says nothing of these parameters
            retry(self.study, self.study.get_trials(deepcopy=False)[trial.number], error)
            raise
        return score

    def _log(self, study: optuna.Study, trial: FrozenTrial) -> None:
        number = merged_number(trial, study.get_trials(deepcopy=False))
        log_trial(merge_attempts(study), number, self._n_trials, self._params)
