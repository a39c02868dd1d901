"""Lines and bars of progress on standard error; bars are shown on a terminal only."""

import contextlib
import io
import sys
from collections.abc import Iterable, Sized
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """Pass `items` through, with a transient progress bar if standard error is a terminal.

    `total` is their number; None takes the length of `items`, if it has one.
    """
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track as rich_track

    if total is None and isinstance(items, Sized):
        total = len(items)
    return rich_track(items, label, total=total, console=Console(stderr=True), transient=True)


def info(text: str) -> None:
    """Print a line of progress to standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def quiet_stderr() -> contextlib.AbstractContextManager[object]:
    """Return a context that hides the progress bars of other libraries, unless standard error is a terminal."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
