"""Storage of trials, and the retry of trials whose process was killed, by Optuna's heartbeat and callback."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import ArgumentError

from tropho.errors import ExternalError, UsageError
from tropho.paths import home_of

HEARTBEAT = 30
"""Seconds between two heartbeats."""
GRACE = 120
"""Seconds without a heartbeat after which another machine's trial counts as killed."""
RETRIES = 5
"""Retries of the same parameters if their process crashes or is killed each time, as it is when memory runs out."""
REASON = "reason"
"""User attribute of a trial that failed by its own settings."""


def storage_address(setting: str | None, root: Path) -> str:
    """Make the relative path of `tune.storage` absolute, from the repository; None is its optuna.db."""
    home = home_of(root)
    for scheme in ("sqlite:///", "journal:"):
        if setting and setting.startswith(scheme):
            return f"{scheme}{home / setting.removeprefix(scheme)}"
    return setting or f"sqlite:///{home / 'optuna.db'}"


def open_storage(address: str) -> optuna.storages.BaseStorage:
    """Open a storage.

    Args:
        address: a database URL (sqlite for one process, postgresql for many machines), or `journal:PATH`, a file for
            the processes of one machine, in which killed trials are not retried.

    Raises:
        UsageError: the address is wrong, or its driver is not installed.
        ExternalError: the database can't be reached.
    """
    for scheme in ("sqlite:///", "journal:"):
        if address.startswith(scheme):
            Path(address.removeprefix(scheme)).parent.mkdir(parents=True, exist_ok=True)
    public = _without_password(address)
    try:
        if address.startswith("journal:"):
            return optuna.storages.JournalStorage(JournalFileBackend(address.removeprefix("journal:")))
        options = {"connect_args": {"timeout": 60}} if address.startswith("sqlite:") else {"pool_pre_ping": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.storages.RDBStorage(
                address,
                options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=_retry_callback(),
            )
    except (ImportError, ValueError, ArgumentError) as error:
        raise UsageError(f"tune.storage '{public}' can't be used: {_first_line(error)}.") from error
    except Exception as error:  # every driver has its own errors
        raise ExternalError(f"tune.storage '{public}' can't be opened: {_first_line(error)}.") from error


def retry(study: optuna.Study, trial: FrozenTrial, error: BaseException) -> None:
    """Queue a trial's parameters again: always after Ctrl-C or an outage, at most RETRIES times after a crash."""
    is_crash = isinstance(error, Exception) and not isinstance(error, ExternalError)
    _retry_callback(RETRIES if is_crash else None)(study, trial)


def retry_running(study: optuna.Study) -> None:
    """Fail every running trial of a study that no other process works on, and retry each at most RETRIES times."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        _retry_callback()(study, trial)


def first_attempt(trial: FrozenTrial) -> int:
    """Get the number of the first trial with these parameters, which is the trial's own unless it is a retry."""
    return int(min([trial.number, *trial.system_attrs.get("retry_history", [])]))


def merged_number(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """Number a trial from 0, counting all attempts of a trial as one."""
    first = first_attempt(trial)
    return len({n for n in map(first_attempt, trials) if n < first})


def _retry_callback(max_retry: int | None = RETRIES) -> RetryHeartbeatStaleTrialCallback:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RetryHeartbeatStaleTrialCallback(max_retry=max_retry)


def _without_password(address: str) -> str:
    scheme, mark, rest = address.partition("://")
    return f"{scheme}{mark}…@{rest.rpartition('@')[2]}" if "@" in rest else address


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
