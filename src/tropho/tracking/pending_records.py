"""What MLflow could not record, kept in a file of the repository until it can."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FOLDER = ".mlflow_pending"

Line = dict[str, Any]
"""One thing to record: `do` (see `Recorder`), `run` (key of the run), and what it takes."""


class Pending:
    """The lines that one process could not record: NAME.jsonl, and in the folder NAME the files that they name.

    The file is locked while the process needs it, so that no other process records it at the same time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file: FileIO | None = None
        self.runs: set[str] = set()
        """Keys of the runs that a line opens."""

    @classmethod
    def left_by_others(cls, folder: Path) -> "Iterator[Pending]":
        """Yield those that no process holds, oldest first, each locked until it is closed or removed."""
        for path in sorted(folder.glob("*.jsonl")):
            pending = cls(folder)
            try:
                pending._file = FileIO(path, "r+")
                if _lock(pending._file) and path.exists():
                    pending._path = path
                    yield pending
            except FileNotFoundError:  # another process has just recorded it
                continue
            finally:
                pending.close()

    def append(self, line: Line) -> None:
        """Write a line, whole or not at all; raise OSError where the disk does not take it."""
        if "path" in line:
            # The folder of a model is large, and laid out for MLflow alone.
            copy = _link_or_copy if line["do"] == "model" else shutil.copyfile
            line = {**line, "path": self._keep(Path(line["path"]), copy)}
        _, file = self._created()
        rest = json.dumps(line).encode() + b"\n"
        end = file.seek(0, os.SEEK_END)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(end)
            raise
        if line["do"] == "open":
            self.runs.add(line["run"])

    def lines(self) -> list[Line]:
        """Read all lines, with absolute paths; one that a killed process left half written is passed over."""
        if self._file is None:
            return []
        self._file.seek(0)
        lines = []
        for text in self._file.readall().splitlines():
            with suppress(ValueError):
                line = json.loads(text)
                lines.append(line | {"path": str(self._folder / line["path"])} if "path" in line else line)
        return lines

    def remove(self) -> None:
        """Delete the files, and the lines last, since they are recorded again where a kill comes between the two."""
        if self._path is not None:
            shutil.rmtree(self._path.with_suffix(""), ignore_errors=True)
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave what is there to the next process."""
        if self._file is not None:
            self._file.close()
        self._file = self._path = None
        self.runs = set()

    def _created(self) -> tuple[Path, FileIO]:
        if self._path is None or self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
            new = self._folder / f".{name}"
            self._file = FileIO(new, "x+")
            _lock(self._file)
            self._path = new.rename(self._folder / f"{name}.jsonl")  # others see it only when it is locked
        return self._path, self._file

    def _keep(self, path: Path, copy: Callable[[Any, Any], object]) -> str:
        """Keep a file or folder as it is now, even if the original changes; returns its place below the folder."""
        kept = self._created()[0].with_suffix("") / uuid.uuid4().hex[:8] / path.name
        kept.parent.mkdir(parents=True)
        try:
            if path.is_dir():
                shutil.copytree(path, kept, copy_function=copy)
            else:
                copy(path, kept)
        except OSError:
            shutil.rmtree(kept.parent, ignore_errors=True)
            raise
        return str(kept.relative_to(self._folder))


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file a second name, which costs no space."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _lock(file: FileIO) -> bool:
    """Lock a file until it is closed or the process ends; False where another process holds it."""
    with suppress(OSError):  # a file system without locks
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
