"""Progress bars on a terminal, silence elsewhere."""

import sys
from collections.abc import Iterable, Sized
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], label: str) -> Iterable[T]:
    """Pass `items` through, with a bar that goes away when done if standard error is a terminal."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track as rich_track

    total = len(items) if isinstance(items, Sized) else None
    return rich_track(items, label, total=total, console=Console(stderr=True), transient=True)


def info(text: str) -> None:
    """Print a line of progress to standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
