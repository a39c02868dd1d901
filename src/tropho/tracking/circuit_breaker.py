"""Keeps a failing tracking server from stopping, failing or slowing the work that it records."""

import time
from collections.abc import Callable

from tropho.errors import ExternalError
from tropho.log import info

FIRST_PAUSE = 30.0
"""Seconds that a server is left alone after a failure.

Each further failure in a row doubles it: a dead server costs a vanishing share of the time, and one that was
restarted is found again."""

REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}
"""MLflow's error codes for one call that will never be accepted, however often it is repeated."""


class CircuitBreaker:
    """Call MLflow unless it failed just now; warn of the first failure only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._blocked_until = float("-inf")
        self._warned: set[str] = set()

    @property
    def allows_calls(self) -> bool:
        """Whether the server may be called now."""
        return self._clock() >= self._blocked_until

    def call(self, action: Callable[[], object]) -> None:
        """Run the action, unless the server is being left alone; whatever it raises opens the breaker."""
        if not self.allows_calls:
            return
        try:
            action()
        except Exception as error:  # whatever happens to a record must not happen to the work
            self._blocked_until = self._clock() + self._pause
            self._pause *= 2
            cause = error.__cause__ if isinstance(error, ExternalError) else None
            self.warn("can't be reached", cause or error, "what it misses is recorded by the next run that reaches it")
        else:
            self._pause = FIRST_PAUSE

    def warn(self, what: str, error: BaseException, consequence: str) -> None:
        """Print one sentence on standard error, the first time that `what` happens."""
        if what not in self._warned:
            self._warned.add(what)
            info(f"Warning: MLflow {what} ({_first_line(error)}); {consequence}.")


def is_outage(error: Exception) -> bool:
    """Tell whether a call failed for a reason that passes: a server away, a database locked or damaged, a full disk.

    MLflow gives what a database says the code BAD_REQUEST, with which nothing is refused for ever but values that the
    database can't hold.
    """
    import sqlalchemy.exc as sql
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        never = isinstance(error.__cause__, sql.DataError | sql.IntegrityError)
        return error.error_code not in REFUSALS and not never
    return isinstance(error, OSError | sql.SQLAlchemyError | ExternalError)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0]}"
    return text if len(text) <= 200 else f"{text[:199]}…"
