"""One line a trial, on a terminal."""

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.text import Text

from tropho.tuning.study_storage import place_of, reason_of
from tropho.tuning.trial_table import STATES, best_of

STYLES = {"complete": "green", "pruned": "yellow", "failed": "red"}


class TrialLines:
    """Says what came of each trial; silent where standard error is not a terminal."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._total = total
        self._console = console or Console(stderr=True)

    def done(self, study: optuna.Study, trial: FrozenTrial, values: dict[str, Any]) -> None:
        """Print the line of a trial that has ended."""
        if not self._console.is_terminal:
            return
        trials = study.get_trials(deepcopy=False)
        place = place_of(trial, trials) + 1
        state = STATES[trial.state]
        line = Text(f"trial {place}/{self._total}  ").append(state, STYLES.get(state, ""))
        if trial.state == TrialState.FAIL:
            line.append(f"  {reason_of(trial)}")
        elif trial.value is not None:
            line.append(f"  {trial.value:.4f}")
        best = best_of(trials)
        if best is not None:
            line.append("  best so far" if best.number == trial.number else f"  best {best.value:.4f}", "dim")
        settings = "  ".join(f"{key}={_short(value)}" for key, value in values.items())
        self._console.print(line.append(f"  {settings}", "dim"))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
