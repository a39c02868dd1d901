"""What an archive from outside holds: regular files, each checked before a byte of any is written."""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tropho.errors import DataError
from tropho.images.file_types import is_hidden

MAX_RATIO = 200
"""Unpacked bytes for a packed byte; photos stay below 2, label tables below 50, bombs begin at 1000."""
RATIO_FREE_BYTES = 100 * 2**20
"""Archives that unpack to less than this can't harm, however well they are packed."""
CHUNK_BYTES = 2**20

CORRUPT = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,
    RuntimeError,
)
"""What zipfile and tarfile raise for damaged, encrypted and unknown content."""


@dataclass(frozen=True)
class Member:
    """A regular file in an archive: its name as stored, its place below the folder, its size in bytes."""

    name: str
    path: str
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def members_of(archive: Path) -> Iterator[list[Member]]:
    """Open a zip or tar and list its files; links in a tar get the bytes they lead to, hidden ones go.

    Raises:
        DataError: naming archive and member: an unsafe path, a link out, a device, encrypted, cut short.
    """
    if not archive.is_file():
        raise DataError(f"{archive} is not there.")
    with ExitStack() as stack:
        try:
            if _starts_like_zip(archive):
                members = _zip_members(archive, stack.enter_context(zipfile.ZipFile(archive)))
            else:
                members = _tar_members(archive, stack.enter_context(tarfile.open(archive, "r:*")))
        except CORRUPT as error:
            raise DataError(f"{archive} is cut short or no archive ({words(error)}); fetch it again.") from error
        yield members


def words(error: BaseException) -> str:
    """An error's text on one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def check_ratio(archive: Path, total: int) -> None:
    """Raise DataError if so many unpacked bytes can't come from an honest archive of this size."""
    packed = max(archive.stat().st_size, 1)
    if total > RATIO_FREE_BYTES and total > MAX_RATIO * packed:
        raise DataError(f"{archive} of {packed:,} bytes unpacks to {total:,} or more; that is no honest data set.")


def _starts_like_zip(archive: Path) -> bool:
    with archive.open("rb") as file:
        return file.read(2) == b"PK"  # the end is no guide: a tar may end with a zip


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> list[Member]:
    files = [info for info in packed.infolist() if not info.filename.endswith(("/", "\\"))]
    return [_zip_member(archive, packed, info) for info in files if _wanted(info.filename)]


def _zip_member(archive: Path, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & 0x1:
        raise DataError(f"{archive}: '{info.filename}' is encrypted; unpack the archive by hand.")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise DataError(f"{archive}: '{info.filename}' is a link or a device, which a data set must not hold.")
    return Member(info.filename, _safe(archive, info.filename), info.file_size, lambda: packed.open(info))


def _tar_members(archive: Path, packed: tarfile.TarFile) -> list[Member]:
    members: list[Member] = []
    known: dict[str, tarfile.TarInfo] = {}
    total = 0
    for info in packed:
        if not _wanted(info.name) or info.isdir():
            continue
        path = _safe(archive, info.name)
        if not (info.isreg() or info.issym() or info.islnk()):
            raise DataError(f"{archive}: '{info.name}' is a device, which a data set must not hold.")
        total += info.size
        check_ratio(archive, total)  # before the loop reads through that many bytes to the next header
        members.append(Member(info.name, path, info.size, _tar_opener(packed, info)))
        known[path] = info
    _check_tar_end(archive, packed.offset)
    return [_resolved(archive, packed, member, known) for member in members]


def _tar_opener(packed: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        file = packed.extractfile(info)
        if file is None:
            raise tarfile.ReadError("not a regular file")
        return file

    return open_member


def _resolved(archive: Path, packed: tarfile.TarFile, member: Member, known: dict[str, tarfile.TarInfo]) -> Member:
    """Give a link the bytes of the member it leads to, which must be a regular file in the archive."""
    info = known[member.path]
    seen: set[str] = set()
    while not info.isreg():
        origin = info.name.split("/")[:-1] if info.issym() else []  # a hard link counts from the top
        target = _normal([*origin, *info.linkname.split("/")])
        if target is None or target not in known or target in seen or info.linkname.startswith("/"):
            raise DataError(f"{archive}: the link '{member.name}' leads out of the archive or to no file in it.")
        seen.add(target)
        info = known[target]
    return Member(member.name, member.path, info.size, _tar_opener(packed, info))


def _normal(parts: list[str]) -> str | None:
    """The path with `.` and `..` worked out; None if it leads above the start."""
    out: list[str] = []
    for part in parts:
        if part == ".." and not out:
            return None
        if part == "..":
            out.pop()
        elif part not in ("", "."):
            out.append(part)
    return "/".join(out)


def _check_tar_end(archive: Path, offset: int) -> None:
    """A whole tar ends in zeros, and a whole gz in a checksum that reading to the end verifies.

    `tarfile` takes a file that stops between two members, or goes on with garbage, for a whole one.
    """
    with archive.open("rb") as file:
        start = file.read(6)
    opener: Callable[[Path], IO[bytes]] = lambda path: path.open("rb")  # noqa: E731
    for magic, known in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open)):
        if start.startswith(magic):
            opener = known  # type: ignore[assignment]
    with opener(archive) as stream:
        stream.seek(offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise DataError(f"{archive} is cut short: its end mark is missing; fetch it again.")
        total = offset
        while chunk := stream.read(CHUNK_BYTES):
            total += len(chunk)
            check_ratio(archive, total)


def _wanted(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return not any(is_hidden(part) for part in parts if part not in (".", ".."))  # `_safe` refuses the latter


def _safe(archive: Path, name: str) -> str:
    """The member's place below the destination, in posix form; DataError if it would lie elsewhere."""
    posix = name.replace("\\", "/")
    parts = [part for part in posix.split("/") if part not in ("", ".")]
    absolute = posix.startswith("/") or re.match(r"[A-Za-z]:", posix)
    if absolute or ".." in parts or not parts or any(ord(letter) < 32 for letter in posix):
        raise DataError(f"{archive}: {name!r} would be written outside its folder; the archive is not safe.")
    return "/".join(parts)
