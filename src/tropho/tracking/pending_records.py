"""Records that MLflow could not take, kept in a file of the repository until it can."""

import errno
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

Record = dict[str, Any]  # something to record: `do` and what it takes (see `Recorder.apply`), `run` (key of the run)


class PendingRecords:
    """Records of one process: lines of NAME.jsonl, and in the folder NAME copies of the files that they name.

    The file is locked while the process uses it, so that no other process records it too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file: FileIO | None = None
        self.runs: set[str] = set()
        """Keys of the runs that a record opens."""

    @classmethod
    def left_by_others(cls, folder: Path) -> "Iterator[PendingRecords]":
        """Yield those that no process has locked, oldest first, each locked until it is closed or removed."""
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

    def append(self, record: Record) -> None:
        """Write a record; raises OSError on a full disk, which may leave an incomplete line."""
        if "path" in record:
            record = {**record, "path": self._copy(Path(record["path"]))}
        _, file = self._open()
        file.seek(0, os.SEEK_END)
        line = f"\n{json.dumps(record)}\n".encode()  # on a line of its own, whatever was cut short before
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, "the disk is full")
        if record["do"] == "open":
            self.runs.add(record["run"])

    def read(self) -> list[Record]:
        """Read all records, with absolute paths; a line that a killed process left incomplete is skipped."""
        if self._file is None:
            return []
        self._file.seek(0)
        records = []
        for line in self._file.readall().splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                records.append(record | {"path": str(self._folder / record["path"])} if "path" in record else record)
        return records

    def remove(self) -> None:
        """Delete the copies, then the records, since a kill between the two repeats the records."""
        if self._path is not None:
            shutil.rmtree(self._path.with_suffix(""), ignore_errors=True)
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the records to the next process."""
        if self._file is not None:
            self._file.close()
        self._file = self._path = None
        self.runs = set()

    def _open(self) -> tuple[Path, FileIO]:
        if self._path is None or self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
            new = self._folder / f".{name}"
            self._file = FileIO(new, "x+")
            _lock(self._file)
            self._path = new.rename(self._folder / f"{name}.jsonl")  # visible to others only when it is locked
        return self._path, self._file

    def _copy(self, path: Path) -> str:
        """Copy a file or folder as it is now; returns the copy's path below the folder."""
        target = self._open()[0].with_suffix("") / uuid.uuid4().hex[:8] / path.name
        target.parent.mkdir(parents=True)
        try:
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
        except OSError:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
        return str(target.relative_to(self._folder))


def _lock(file: FileIO) -> bool:
    """Lock a file until it is closed or the process ends; False if another process has locked it."""
    with suppress(OSError):  # a file system without locks
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
