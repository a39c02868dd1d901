"""Copy what the user has: never links, so that nothing done to data/raw can reach the user's own files."""

import errno
import os
import shutil
import stat
from pathlib import Path

from tropho.data.sources.download_progress import progress_bar
from tropho.errors import DataError, ExternalError, UsageError
from tropho.images.file_types import is_hidden


def copy_file(source: Path, target: Path) -> None:
    """Copy bytes alone (no mode, no times), as a clone that shares disk blocks where the file system can.

    Raises:
        ExternalError: if the target can't be written or the source can't be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not _clone(source, target):
            shutil.copyfile(source, target)
    except OSError as error:
        raise ExternalError(
            f"{source} can't be copied to {target} ({error.strerror}); mend that and run again."
        ) from error


def _clone(source: Path, target: Path) -> bool:
    """Copy inside the kernel; False where it can't (another system, or between file systems)."""
    if not hasattr(os, "copy_file_range"):
        return False
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            left = os.fstat(reader.fileno()).st_size
            while left > 0:
                copied = os.copy_file_range(reader.fileno(), writer.fileno(), left)
                if copied == 0:
                    return False
                left -= copied
    except OSError as error:
        if error.errno in (
            errno.EXDEV,
            errno.EINVAL,
            errno.ENOSYS,
            errno.EOPNOTSUPP,
            errno.EPERM,
            errno.EBADF,
        ):
            return False
        raise
    return True


def copy_folder(source: Path, to: Path) -> int:
    """Copy a folder's files below `to`, symbolic links as what they lead to; return their number.

    Hidden files and the litter of file managers are left out. Raises DataError at a broken or circular link or a
    device, and UsageError if `to` lies inside `source`, which would copy the copy.
    """
    check_apart(source, to)
    files = list_files(source)
    with progress_bar(f"Copying {source.name}", len(files)) as bar:
        for file in files:
            copy_file(source / file, to / file)
            bar.advance(bar.task_ids[0])
    return len(files)


def check_apart(source: Path, to: Path) -> None:
    """Raise UsageError if `to` lies inside `source`."""
    if to.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{source} holds the pipeline's own data folder; put the data set into a folder of its own.")


def list_files(folder: Path) -> list[Path]:
    """Paths of the files below `folder`, sorted, links followed, hidden ones left out; raises as `copy_folder`."""
    return _list(folder, Path(), (folder.resolve(),))


def _list(top: Path, below: Path, above: tuple[Path, ...]) -> list[Path]:
    files: list[Path] = []
    for entry in sorted(os.scandir(top / below), key=lambda entry: entry.name):
        if is_hidden(entry.name):
            continue
        path = below / entry.name
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            raise DataError(f"{top / path} is a broken link ({error.strerror}); remove or mend it.") from error
        if stat.S_ISDIR(mode):
            real = (top / path).resolve()
            if real in above:
                raise DataError(f"{top / path} is a link to a folder that it lies in; remove it.")
            files += _list(top, path, (*above, real))
        elif stat.S_ISREG(mode):
            files.append(path)
        else:
            raise DataError(f"{top / path} is neither a file nor a folder; remove it.")
    return files
