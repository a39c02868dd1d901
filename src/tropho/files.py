"""Hashes, JSON and YAML, and atomic writes: a file is complete or absent."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from tropho.errors import DataError, TrophoError

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

WRITERS = {
    "data/raw": "download",
    "data/audit": "audit",
    "data/splits": "split",
    "data/augmented": "augment",
    "data/tuned": "tune",
    "models": "train",
    "curves": "train",
    "metrics": "evaluate",
    "reports": "evaluate",
    "submissions": "submit",
}
"""Stages by the folder that they write, below which a task's files are called by its name."""
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
PROVENANCE = "provenance.json"  # name of the file in data/raw/TASK that says where the data came from


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Hash a JSON-like value to 16 hex digits; key order does not count."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush and rename it, else remove it."""
    with naming(path), temporary_folder(path) as folder:
        temporary = folder / path.name
        temporary.touch()
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the path to an OSError that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS:
            error.filename = error.filename or str(path)
        raise


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, removed at the end; folders of killed processes are removed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(f".{path.name}.") + "[a-z0-9_]{8}")
    for entry in [entry for entry in os.scandir(path.parent) if pattern.fullmatch(entry.name) and entry.is_dir()]:
        with suppress(OSError), _locked(Path(entry)):
            shutil.rmtree(entry, ignore_errors=True)
    with ExitStack() as stack:
        temporary = _new_folder(path, stack)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _new_folder(path: Path, stack: ExitStack) -> Path:
    """Make a folder beside `path`, locked until `stack` is closed, so that no process takes it for an abandoned one."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            stack.enter_context(_locked(folder))
            folder.chmod(0o755)
        except (BlockingIOError, FileNotFoundError):  # another process has just removed it as abandoned
            continue
        except OSError:  # a file system without locks
            folder.chmod(0o755)
        return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process; raise OSError if another process has it."""
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "no locks on this system")
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it replaces `path`, else it is removed.

    The old content is moved aside and removed once the new is in place; after a crash in between, the next call puts it
    back. A symbolic link stays, and its target is replaced.
    """
    path = path.resolve() if path.is_symlink() else path
    aside = path.with_name(f".{path.name}.replaced")
    if aside.exists() and not path.exists():
        aside.rename(path)
    shutil.rmtree(aside, ignore_errors=True)
    with naming(path), temporary_folder(path) as temporary:
        yield temporary
        if path.exists():
            path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            if aside.exists():
                aside.rename(path)
            raise
    shutil.rmtree(aside, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, as a reflink if the file system has them; never as a hard link."""
    from dvc_objects.fs.system import reflink

    try:
        reflink(str(source), str(target))
    except (OSError, NotImplementedError):
        shutil.copyfile(source, target)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, creating parent folders."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def without_nan(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by None."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; raise ValueError at NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


class Record(dict[str, Any]):
    """Content of one of Tropho's files; a missing key raises DataError that names the file."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise _damaged(self._path, f"it has no key '{key}'")


def read_json(path: Path) -> Record:
    """Read a JSON object; raise DataError if it is missing or damaged."""
    return _read(path, json.loads)


def yaml_fault(error: Exception) -> str:
    """Say in which line and column YAML is wrong, and why."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}, {error.problem}"
    return " ".join(str(error).split())


def read_yaml(path: Path) -> Record:
    """Read a YAML mapping; raise DataError if it is missing or damaged."""
    return _read(path, yaml.safe_load)


def _read(path: Path, parse: Callable[[str], Any]) -> Record:
    with reading(path):
        value = parse(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it is empty" if value is None else "it has no keys")
    return Record(path, value)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading a missing or damaged file of Tropho's into DataError."""
    if not path.exists():
        raise DataError(f"{path} is not there; run `dvc repro{_writer_of(path)}`.")
    try:
        yield
    except Exception as error:  # every library has its own errors
        if isinstance(error, TrophoError | MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise _damaged(path, str(error) or type(error).__name__) from error


def _writer_of(path: Path) -> str:
    """Return the stage that writes a file, with a space before it; nothing for other files."""
    places = re.findall(rf"(?<![^/])({'|'.join(WRITERS)})/([^/.]+)", path.as_posix())
    return f" {WRITERS[places[-1][0]]}@{places[-1][1]}" if places else ""


def _damaged(path: Path, reason: str) -> DataError:
    reason = " ".join(reason.split()).rstrip(".")[:200]
    return DataError(f"{path} is damaged ({reason}); delete it and run `dvc repro`.")
