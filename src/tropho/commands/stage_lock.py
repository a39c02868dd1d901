"""Lock of a stage: a second process is refused, and one whose DVC is gone ends, so that no work is done twice."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from tropho.config.task_config import TaskConfig
from tropho.errors import UsageError
from tropho.paths import Paths

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

LOCK_TIMEOUT = 15.0
"""Seconds to wait for a process that is ending, as after DVC was killed."""
RESEND_DELAY = 0.1
"""Seconds until an interrupt that Python has dropped is sent again."""
POLL_INTERVAL = 0.5
"""Seconds between two looks at the lock, or at the parent process."""


@contextmanager
def running(settings: TaskConfig, stage: str, root: Path) -> Iterator[None]:
    """Hold the lock of a task's stage, and end with DVC if DVC has started it.

    Several processes may search in one shared database, and those of a distributed training belong together.

    Raises:
        UsageError: another process is running the stage; the sentence names it.
    """
    storage = settings.tune.storage or "sqlite:"
    is_shared = os.environ.get("RANK", "0") != "0" or (stage == "tune" and not storage.startswith("sqlite:"))
    path = Paths(root, settings.name).lock(stage)
    with _ending_with_dvc(), nullcontext() if is_shared else _locked(path, f"{stage} {settings.name}"):
        yield


def is_running(path: Path) -> bool:
    """Whether a process holds the lock file of a stage; False on systems without locks."""
    if not path.exists():
        return False
    with path.open("r+", encoding="utf-8") as file:
        return not _try_lock(file)


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _acquire(file, what)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _acquire(file: IO[str], what: str) -> None:
    """Lock a file, and wait for a process that is ending; raise UsageError if another one keeps the lock."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while not _try_lock(file):
        if time.monotonic() > deadline:
            file.seek(0)
            process = file.read()
            raise UsageError(
                f"tropho {what} is already running (process {process}); wait for it, or stop it with "
                f"`kill {process}`, then run this again."
            )
        time.sleep(POLL_INTERVAL)


def _try_lock(file: IO[str]) -> bool:
    """Lock a file until the process ends, unless another process has it; systems without locks have none.

    Workers don't inherit the lock.
    """
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def _ending_with_dvc() -> Iterator[None]:
    """Let SIGTERM stop this process like Ctrl-C, and send it when the DVC that started this process is gone.

    Without DVC nobody would note down what the stage makes. A stage started otherwise may outlive its shell.
    """
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, signal.default_int_handler), sys.unraisablehook
    sys.unraisablehook = _send_again
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def _send_again(dropped: "sys.UnraisableHookArgs") -> None:
    """Interrupt again where Python dropped an interrupt, as it does in destructors and in what the collector calls."""
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        timer = threading.Timer(RESEND_DELAY, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(dropped)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
