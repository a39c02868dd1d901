"""Unpack zip and tar archives from outside, and those inside a data set, all or nothing."""

import filecmp
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from tropho.errors import DataError, ExternalError
from tropho.files import atomic_folder
from tropho.images.file_types import is_hidden, is_image_name
from tropho.log import track

SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
ANNOTATION_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".xml", ".txt"})
YOLO_NAMES = frozenset({"data.yaml", "data.yml", "dataset.yaml", "dataset.yml"})
ARCHIVE = re.compile(r"\.(zip|tgz|tar(\.(gz|bz2|xz))?)$", re.IGNORECASE)
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl"})
MAX_RATIO = 200  # unpacked over packed bytes: photos stay below 2, label tables below 50, bombs start at 1000
RATIO_FREE_BYTES = 100 * 2**20  # archives that unpack to less are harmless at any ratio
DISK_MARGIN_BYTES = 256 * 2**20
CHUNK_BYTES = 2**20
MAX_DEPTH = 3  # of archives inside archives; published data sets have two at most
CORRUPT = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, KeyError, NotImplementedError, RuntimeError),
)
Packed = zipfile.ZipFile | tarfile.TarFile


def is_archive(name: str) -> bool:
    """Return whether the file name ends like an archive that `unpack` reads."""
    return bool(ARCHIVE.search(name))


def is_annotation(path: str) -> bool:
    """Return whether the name ends like a table of labels and is no read-me."""
    name = PurePosixPath(path)
    if name.name.lower() in YOLO_NAMES:
        return True
    return name.suffix.lower() in ANNOTATION_SUFFIXES and not name.stem.lower().startswith(("readme", "license"))


def stem_of(name: str) -> str:
    """Return the file name without its archive ending: `data/train.tar.gz` -> `train`."""
    return ARCHIVE.sub("", name.rpartition("/")[2])


def unpack(archive: Path, to: Path) -> int:
    """Unpack a zip or tar (plain, gz, bz2, xz) into the new folder `to`; returns the number of files.

    Links inside a tar become copies, since later stages move folders. Hidden files are left out.

    Raises:
        DataError: the archive is damaged or unsafe; nothing was written. The sentence names archive and member.
        ExternalError: the disk is too full.
    """
    with archive.open("rb") as file:
        is_zip = file.read(2) == b"PK"  # the end is no guide: a tar may end with a zip
    to.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _explaining(f"{archive} is cut short or no archive"):
            packed = (
                stack.enter_context(zipfile.ZipFile(archive)) if is_zip else stack.enter_context(tarfile.open(archive))
            )
            members = _members(archive, packed)
        free = shutil.disk_usage(to.parent).free
        total = sum(_facts(info)[1] for _, info in members)
        if total + DISK_MARGIN_BYTES > free:
            raise ExternalError(f"{archive} needs {total:,} bytes, {free:,} are free; make room and run again.")
        folder = stack.enter_context(atomic_folder(to))
        for path, info in track(members, f"Unpacking {archive.name}"):
            with _explaining(f"{archive}: '{path}' is corrupt"):
                _write(archive, packed, info, folder / path)
    return len(members)


def _members(archive: Path, packed: Packed) -> list[tuple[str, Any]]:
    """List the files in an archive with their paths, each of them safe, without hidden ones."""
    members, total = [], 0
    for info in packed.infolist() if isinstance(packed, zipfile.ZipFile) else packed:
        name, size, is_folder, is_special = _facts(info)
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if is_folder or any(is_hidden(part) for part in parts if part != ".."):
            continue
        if is_special:
            raise DataError(f"{archive}: '{name}' is a link or a device, which a data set must not hold.")
        is_absolute = re.match(r"[\\/]|[A-Za-z]:", name)
        if is_absolute or ".." in parts or not parts or any(ord(letter) < 32 for letter in name):
            raise DataError(f"{archive}: {name!r} would be written outside its folder; the archive is not safe.")
        members.append(("/".join(parts), info))
        total += size
        packed_bytes = archive.stat().st_size
        if total > max(RATIO_FREE_BYTES, MAX_RATIO * packed_bytes):  # before the next header of a tar is decompressed
            raise DataError(
                f"{archive} of {packed_bytes:,} bytes unpacks to {total:,} or more; that is no honest data set."
            )
    if isinstance(packed, tarfile.TarFile):
        _check_end(packed)
    if not members:
        raise DataError(f"{archive} holds no files; fetch it again.")
    return members


def _facts(info: Any) -> tuple[str, int, bool, bool]:
    """Return a member's name, its size in bytes (0 for a link), and whether it is a folder, or no file either."""
    if isinstance(info, tarfile.TarInfo):
        return info.name, info.size, info.isdir(), not (info.isreg() or info.issym() or info.islnk())
    is_special = stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG)
    return info.filename, info.file_size, info.filename.endswith(("/", "\\")), is_special


def _check_end(packed: tarfile.TarFile) -> None:
    """Read to the end of a tar, since tarfile checks neither the end mark, a block of zeros, nor what follows it."""
    stream = packed.fileobj
    assert stream is not None
    stream.seek(packed.offset)
    if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end mark is missing")
    while stream.read(CHUNK_BYTES):  # to the checksum of a compressed tar
        pass


def _write(archive: Path, packed: Packed, info: Any, target: Path) -> None:
    """Write a member's content; that of a link is the file of the same archive that it leads to."""
    with suppress(FileExistsError, NotADirectoryError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            source = None
            with suppress(KeyError, RecursionError):
                source = packed.open(info) if isinstance(packed, zipfile.ZipFile) else packed.extractfile(info)
            if source is None:
                raise DataError(f"{archive}: the link '{info.name}' leads out of the archive or to no file in it.")
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        return
    raise DataError(f"{archive} holds '{_facts(info)[0]}' twice, or as a file and a folder; remove one.")


@contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Turn the errors of zipfile and tarfile for damaged, encrypted and unknown content into DataError."""
    try:
        yield
    except CORRUPT as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the archive's
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{what} ({reason}); fetch it again.") from error


def unpack_archives(folder: Path, shown: str) -> dict[str, int]:
    """Replace every archive below `folder`, a copy, by its content; returns its number of files by the archive's path.

    `train.zip` becomes the folder `train`, without folders that only wrap the content, and `train.csv.zip` becomes
    `train.csv`. A single archive with no data beside it becomes the data set itself, as do numbered ones of folders.
    Messages call the folder `shown`.

    Raises:
        DataError: an archive is damaged or unsafe, holds another file than the one that is there under its name, or is
            nested more than `MAX_DEPTH` deep.
        ExternalError: the disk is too full.
    """
    counts: dict[str, int] = {}
    for _ in range(MAX_DEPTH):
        files = _files_below(folder)
        archives = [path for path in files if is_archive(path.name)]
        if not archives:
            return counts
        has_data = any(is_image_name(path.name) or is_annotation(path.name) for path in files)
        stems = {re.sub(r"\d", "", stem_of(path.name)) for path in archives}
        is_whole = not counts and not has_data and len(stems) == 1
        for archive in archives:
            try:
                counts[archive.relative_to(folder).as_posix()] = _replace(archive, len(archives) if is_whole else 0)
            except (DataError, ExternalError) as error:
                raise type(error)(str(error).replace(str(folder), shown)) from error
    for path in _files_below(folder):
        if is_archive(path.name):
            inner = path.relative_to(folder).as_posix()
            raise DataError(f"{shown}/{inner} lies in {MAX_DEPTH} nested archives; unpack the outer ones by hand.")
    return counts


def unwrap(folder: Path, stem: str = "") -> Path:
    """Return the inner folder that holds the data set, skipping folders that hold nothing but one folder.

    A folder named like a split, or one that holds files alone, is skipped only if it is named like the archive,
    whose name without ending is `stem`.
    """
    while True:
        entries = list(folder.iterdir())
        if len(entries) != 1 or not entries[0].is_dir():
            return folder
        inner = entries[0]
        is_data = inner.name.lower() in SPLITS or not any(entry.is_dir() for entry in inner.iterdir())
        if is_data and inner.name.lower() != stem.lower():
            return folder
        folder = inner


def _files_below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _replace(archive: Path, n_parts: int) -> int:
    """Replace an archive, one of `n_parts` that make up the data set (0 if there is more); return its file count."""
    unpacked = archive.with_name(f".{archive.name}.unpacked")
    count = unpack(archive, unpacked)
    stem = stem_of(archive.name)
    content = unwrap(unpacked, stem)
    files = _files_below(content)
    is_table = files[0].parent == unpacked and files[0].suffix.lower() in TABLE_SUFFIXES
    if len(files) == 1 and (files[0].name == stem or is_table):
        content, to = files[0].parent, archive.parent
    elif stem.lower() not in SPLITS and (n_parts == 1 or (n_parts and not any(map(Path.is_file, content.iterdir())))):
        to = archive.parent
    else:
        to = archive.parent / (content.name if content.name.lower() == stem.lower() else stem)
    for file in files:
        _move(file, to / file.relative_to(content), archive)
    shutil.rmtree(unpacked)
    archive.unlink()
    return count


def _move(file: Path, target: Path, archive: Path) -> None:
    if target.is_file() and filecmp.cmp(file, target, shallow=False):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            file.rename(target)
            return
    except (FileExistsError, NotADirectoryError):  # a file has the name of the folder
        pass
    raise DataError(
        f"{archive} holds '{file.name}', which differs from the {target} that is there; remove one of them."
    )
