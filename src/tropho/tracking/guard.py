"""Keeps a failing tracking server from stopping, failing or slowing the work that it records."""

import time
from collections.abc import Callable
from typing import TypeVar

from tropho.progress import say

T = TypeVar("T")

FIRST_PAUSE = 30.0
"""Seconds that a server is left alone after a failure.

Each further failure in a row doubles it: a dead server costs a vanishing share of the time, and one that was
restarted is found again."""


class Guard:
    """Calls the server, swallows its failures, warns of the first one only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._closed_until = float("-inf")
        self._warned = False

    @property
    def open(self) -> bool:
        """Whether the server may be called now."""
        return self._clock() >= self._closed_until

    def call(self, action: Callable[[], T]) -> T | None:
        """The action's result; None if it failed, or if the server is being left alone."""
        if not self.open:
            return None
        try:
            result = action()
        except Exception as error:  # whatever happens to a record must not happen to the work
            self._failed(error)
            return None
        self._pause = FIRST_PAUSE
        return result

    def _failed(self, error: Exception) -> None:
        if not _is_refusal(error):
            self._closed_until = self._clock() + self._pause
            self._pause *= 2
        if not self._warned:
            self._warned = True
            say(f"Warning: MLflow does not record this run in full ({_first_line(error)}); the work goes on.")


def _is_refusal(error: Exception) -> bool:
    """Whether a server that is alive refused this one call."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.get_http_status_code() < 500


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0]}"
    return text if len(text) <= 200 else f"{text[:199]}…"
