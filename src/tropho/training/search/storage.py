"""Where trials are kept, and what becomes of those whose process was killed."""

import contextlib
import os
import platform
import warnings
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import ArgumentError

from tropho.errors import OutsideError, UsageError
from tropho.tracking.store import home_of

HEARTBEAT = 30
"""Seconds between signs of life in a database."""
GRACE = 120
"""Seconds without one after which another machine's trial counts as killed."""
ATTEMPTS = 3
"""Times that the same parameters are tried if the process is killed each time, as for want of memory."""

# User attributes of a trial.
WORKER = "worker"
REASON = "reason"
QUEUED_FOR = "queued_for"
ATTEMPT = "attempt"
SURPLUS = "surplus"


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
            `journal:PATH`, a file for many processes that share a file system.

    Raises:
        UsageError: the address can't be understood, or its driver is not installed.
        OutsideError: the database can't be reached.
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
            return optuna.storages.RDBStorage(address, wait, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
    except (ImportError, ValueError, ArgumentError) as error:
        raise UsageError(f"tune.storage '{_public(address)}' can't be used: {_line(error)}.") from error
    except Exception as error:  # every driver has its own errors
        raise OutsideError(f"tune.storage '{_public(address)}' can't be opened: {_line(error)}.") from error


def this_worker() -> dict[str, Any]:
    """What tells this process from every other one that may come to the same study."""
    return {"host": platform.node(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def requeue_killed(study: optuna.Study, shared: bool) -> None:
    """Mark trials as failed whose process is gone, and queue the parameters of every interrupted trial again.

    A trial was interrupted if it failed without a reason of its own: killed, stopped by the user, or ended by
    an error that ended the whole search.

    Args:
        study: of any number of processes.
        shared: whether processes of other machines may work on it; if not, none of them can be alive.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _is_alive(trial.user_attrs.get(WORKER), shared):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another process was faster
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    trials = study.get_trials(deepcopy=False)
    queued = {trial.user_attrs.get(QUEUED_FOR) for trial in trials}
    for trial in trials:
        purpose = f"retry of {trial.number}"
        if _is_interrupted(trial) and purpose not in queued and _attempt(trial) < ATTEMPTS:
            parameters = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            study.enqueue_trial(parameters, {QUEUED_FOR: purpose, ATTEMPT: _attempt(trial) + 1})


def is_surplus(trial: optuna.Trial, earlier: list[FrozenTrial], total: int) -> bool:
    """Whether a trial that has just begun is one too many, as when processes begin at the same moment.

    Args:
        trial: the new one.
        earlier: all with a lower number.
        total: of trials that count.
    """
    purpose = trial.user_attrs.get(QUEUED_FOR)
    if purpose is not None and any(each.user_attrs.get(QUEUED_FOR) == purpose for each in earlier):
        return True
    return sum(counts(each) for each in earlier) >= total


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the total: done or under way, but neither waiting, superseded nor surplus."""
    if trial.state == TrialState.WAITING or SURPLUS in trial.user_attrs:
        return False
    return not _is_interrupted(trial) or _attempt(trial) >= ATTEMPTS


def reason_of(trial: FrozenTrial) -> str | None:
    """Why a trial failed; None if it did not."""
    if trial.state != TrialState.FAIL:
        return None
    return trial.user_attrs.get(REASON, f"interrupted, attempt {_attempt(trial)} of {ATTEMPTS}")


def _is_interrupted(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and not {REASON, SURPLUS} & set(trial.user_attrs)


def _attempt(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get(ATTEMPT, 1))


def _is_alive(worker: dict[str, Any] | None, shared: bool) -> bool:
    if worker is None:
        return shared  # about to write its name, or gone before it could; then the heartbeat tells
    if worker["host"] != platform.node():
        return shared
    try:
        process = psutil.Process(worker["pid"])
        # The system gives a number again, but not with the same start; the clock may be set by seconds.
        same = abs(process.create_time() - worker["started"]) < 5
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _public(address: str) -> str:
    """An address without its password."""
    scheme, mark, rest = address.partition("://")
    return f"{scheme}{mark}…@{rest.rpartition('@')[2]}" if "@" in rest else address


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
