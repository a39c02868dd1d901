"""Progress bars for downloads and copies: on a terminal only, on stderr, gone when done."""

import contextlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Progress]:
    """Yield a bar with one task of `total` steps; `bar.advance(bar.task_ids[0], n)` moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        bar.add_task(description, total=total)
        yield bar


def quiet_stderr() -> contextlib.AbstractContextManager[object]:
    """A context in which a client's own progress bars show on a terminal only."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
