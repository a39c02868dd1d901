"""Where trials are kept, and what becomes of those whose process was killed (Optuna's heartbeat and retry callback)."""

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
"""Seconds between signs of life in a database."""
GRACE = 120
"""Seconds without one after which another machine's trial counts as killed."""
RETRIES = 2
"""Times that the same parameters are tried again if the process is killed each time, as for want of memory."""

REASON = "reason"
"""User attribute of a trial that failed by its own settings."""


def storage_address(setting: str | None, root: Path) -> str:
    """`tune.storage`, its relative paths made absolute from the repository; sqlite in it where null."""
    home = home_of(root)
    for scheme in ("sqlite:///", "journal:"):
        if setting and setting.startswith(scheme):
            return f"{scheme}{home / setting.removeprefix(scheme)}"
    return setting or f"sqlite:///{home / 'optuna.db'}"


def open_storage(address: str) -> optuna.storages.BaseStorage:
    """A storage by its address.

    Args:
        address: a database URL (sqlite for one process at a time, postgresql for many machines), or
            `journal:PATH`, a file for the processes of one machine, in which killed trials are not tried again.

    Raises:
        UsageError: the address can't be understood, or its driver is not installed.
        ExternalError: the database can't be reached.
    """
    for scheme in ("sqlite:///", "journal:"):
        if address.startswith(scheme):
            Path(address.removeprefix(scheme)).parent.mkdir(parents=True, exist_ok=True)
    try:
        if address.startswith("journal:"):
            return optuna.storages.JournalStorage(JournalFileBackend(address.removeprefix("journal:")))
        wait = {"connect_args": {"timeout": 60}} if address.startswith("sqlite:") else {"pool_pre_ping": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.storages.RDBStorage(
                address,
                wait,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=_retry_callback(),
            )
    except (ImportError, ValueError, ArgumentError) as error:
        raise UsageError(f"tune.storage '{_public(address)}' can't be used: {_line(error)}.") from error
    except Exception as error:  # every driver has its own errors
        raise ExternalError(f"tune.storage '{_public(address)}' can't be opened: {_line(error)}.") from error


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the parameters of an interrupted trial again, at most RETRIES times."""
    _retry_callback()(study, trial)


def retry_running(study: optuna.Study) -> None:
    """Fail every running trial and queue its parameters again; for a study of one process, which has just started."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        retry(study, trial)


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """List the trials that count towards the total, in order: begun, and not tried again by a later trial."""
    retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    those = [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in retried]
    return sorted(those, key=_first_attempt)


def place_of(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """Count from 0 at which place a trial stands among all; the retry of a killed one stands at that one's place."""
    first = _first_attempt(trial)
    return len({each for each in map(_first_attempt, trials) if each < first})


def _first_attempt(trial: FrozenTrial) -> int:
    return int(min([trial.number, *trial.system_attrs.get("retry_history", [])]))


def reason_of(trial: FrozenTrial) -> str | None:
    """Say why a trial failed; None if it did not."""
    if trial.state != TrialState.FAIL:
        return None
    return trial.user_attrs.get(REASON, "interrupted")


def _retry_callback() -> RetryHeartbeatStaleTrialCallback:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)


def _public(address: str) -> str:
    """An address without its password."""
    scheme, mark, rest = address.partition("://")
    return f"{scheme}{mark}…@{rest.rpartition('@')[2]}" if "@" in rest else address


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
