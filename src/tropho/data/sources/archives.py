"""Unpack archives from outside: all members are verified before the first is written; all or nothing."""

import shutil
from pathlib import Path
from typing import IO

from tropho.data.sources.archive_members import CHUNK_BYTES, CORRUPT, Member, check_ratio, members_of, words
from tropho.data.sources.download_progress import progress_bar
from tropho.errors import DataError, ExternalError
from tropho.files import atomic_folder

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DISK_MARGIN_BYTES = 256 * 2**20


def is_archive(name: str) -> bool:
    """Whether `name` ends like an archive that `unpack` can read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def stem_of(name: str) -> str:
    """The file name without its archive ending: `data/train.tar.gz` -> `train`."""
    base = name.rpartition("/")[2]
    endings = [ending for ending in ARCHIVE_SUFFIXES if base.lower().endswith(ending)]
    return base[: -len(max(endings, key=len))] if endings else base


def unpack(archive: Path, to: Path) -> int:
    """Unpack a zip or tar (plain, gz, bz2, xz) into the new folder `to`; return the number of files.

    Refused before anything is written: absolute paths, `..`, links that lead out, devices, encrypted or
    doubled members, and more bytes than the disk or a sane packing ratio allows. Links inside a tar become
    copies, since later stages move folders. What file managers and tools add (`file_types.is_hidden`) is left out.

    Raises:
        DataError: naming archive and member, if something is refused, corrupt or cut short.
        ExternalError: if the disk is too full.
        FileExistsError: if `to` holds something.
    """
    if to.exists() and any(to.iterdir()):
        raise FileExistsError(f"{to} is not empty")
    with members_of(archive) as members:
        if not members:
            raise DataError(f"{archive} holds no files; fetch it again.")
        _check_places(archive, members)
        _check_sizes(archive, members, to)
        with atomic_folder(to) as folder:
            _write_all(archive, members, folder)
    return len(members)


def _check_places(archive: Path, members: list[Member]) -> None:
    taken: set[str] = set()
    for member in members:
        if member.path in taken:
            raise DataError(f"{archive} holds '{member.path}' twice; which one counts can't be told.")
        taken.add(member.path)
    for path in taken:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in taken:
                raise DataError(f"{archive} holds '{parent}' both as a file and as a folder.")
            parent = parent.rpartition("/")[0]


def _check_sizes(archive: Path, members: list[Member], to: Path) -> None:
    total = sum(member.size for member in members)
    check_ratio(archive, total)
    to.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(to.parent).free
    if total + DISK_MARGIN_BYTES > free:
        raise ExternalError(f"{archive} needs {total:,} bytes unpacked, {free:,} are free; make room and run again.")


def _write_all(archive: Path, members: list[Member], folder: Path) -> None:
    with progress_bar(f"Unpacking {archive.name}", len(members)) as bar:
        for member in members:
            _write(archive, member, folder / member.path)
            bar.advance(bar.task_ids[0])


def _write(archive: Path, member: Member, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, target.open("xb") as file:
            written = _copy_at_most(source, file, member.size)
    except OSError as error:
        if error.errno is None:  # the archive's fault, not the disk's
            raise DataError(f"{archive}: '{member.name}' is corrupt ({words(error)}); fetch it again.") from error
        raise ExternalError(f"{target} can't be written ({error.strerror}); mend that and run again.") from error
    except CORRUPT as error:
        raise DataError(f"{archive}: '{member.name}' is corrupt ({words(error)}); fetch it again.") from error
    if written != member.size:
        raise DataError(f"{archive}: '{member.name}' unpacks to {written} bytes, not to {member.size} as declared.")


def _copy_at_most(source: IO[bytes], target: IO[bytes], size: int) -> int:
    """Copy to the end of `source`, but stop once more than `size` bytes came; return the bytes written."""
    written = 0
    while written <= size and (chunk := source.read(CHUNK_BYTES)):
        written += target.write(chunk)
    return written
