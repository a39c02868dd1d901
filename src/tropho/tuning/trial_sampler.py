"""What a trial tries, reproducible over interruptions and processes."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tropho.tuning.study_storage import place_of


class SeededSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Optuna's TPE, seeded anew for every trial with `seed` + the trial's place.

    So what a trial tries depends on the trials before it alone: a study that was interrupted does not repeat
    itself, tries what it would have tried, and processes that start together don't try the same.
    """

    def __init__(self, seed: int, startup: int) -> None:
        """Take the seed, and the number of trials that are drawn at random before any is modelled."""
        self._seed = seed
        self._startup = startup
        self._tpe = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed."""
        place = place_of(trial, study.get_trials(deepcopy=False))
        self._tpe = optuna.samplers.TPESampler(seed=self._seed + place, n_startup_trials=self._startup)
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        """As TPE."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> Any:
        """As TPE."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, distribution: Any) -> Any:
        """As TPE."""
        return self._tpe.sample_independent(study, trial, param_name, distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As TPE."""
        self._tpe.after_trial(study, trial, state, values)
