"""Data sets on this machine: a folder is copied, an archive unpacked; the user's own files are never changed.

Their hashes tell a changed file without copying anything.
"""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import is_archive, unpack_archives
from tropho.errors import DataError, UsageError
from tropho.files import copy_file, fingerprint, sha256_of
from tropho.images.file_types import walk
from tropho.log import track
from tropho.paths import Paths

Stamps = dict[str, list[Any]]
"""Posix path of a file -> size in bytes, modification and status change in ns, and SHA-256."""


def placed_files(settings: TaskConfig, root: Path) -> Path | None:
    """Return the folder or archive that holds the user's files; None if the source has none."""
    if settings.download.source == "local":
        assert settings.download.path is not None, "download.path is required for source local"
        return root / Path(settings.download.path).expanduser()
    return Paths(root, settings.name).incoming if settings.download.source == "zindi" else None


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Copy the folder or archive at `download.path`, and unpack archives; refuse what is absent, empty or damaged."""
    key, path = f"tasks.{settings.name}.download.path", settings.download.path
    source = placed_files(settings, root)
    assert source is not None
    if source.is_dir():
        record: dict[str, Any] = {"files": copy_folder(source, to)}
        if not record["files"]:
            raise DataError(f"{source} ({key}) holds no files; put the data set there.")
    elif not source.is_file() or not is_archive(source.name):
        raise UsageError(f"{key}: '{path}' ({source}) is no folder and no archive (.zip, .tar, .tar.gz); correct it.")
    else:
        record = {"sha256": sha256_of(source)}
        copy_file(source, to / source.name)
    archives = unpack_archives(to, str(source if source.is_dir() else source.parent))
    if source.is_file():
        record["files"] = archives.pop(source.name)
    return {"source": "local", "path": path, **record, "archives": archives}


def copy_folder(source: Path, to: Path) -> int:
    """Copy the files of a folder below `to`, links as copies of their targets; returns the number of files."""
    check_apart(source, to)
    files = list_files(source)
    for file in track(files, f"Copying {source.name}"):
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        copy_file(source / file, to / file)
    return len(files)


def check_apart(source: Path, to: Path) -> None:
    """Raise UsageError if `to` lies inside `source`, which would copy the copy."""
    if to.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{source} holds the pipeline's own data folder; put the data set into a folder of its own.")


def list_files(folder: Path) -> list[str]:
    """List the files below a folder as sorted paths below it; links are followed, hidden files left out.

    A DataError names a link that leads nowhere, or a device.
    """
    files = walk(folder)[0]
    for file in files:
        if not (folder / file).is_file():
            raise DataError(f"{folder / file} is a broken link or no file; remove or correct it.")
    return files


def stamp_files(place: Path, known: Stamps, raw: Path) -> Stamps:
    """Hash the files at `place`, a folder or a file; files whose size and times are `known` are not read.

    Without a file there, the result is empty. `raw`, the folder that the files will be copied to, must lie outside.
    """
    files = {place.name: place} if place.is_file() else {}
    if place.is_dir():
        check_apart(place, raw)
        files = {path: place / path for path in list_files(place)}
    stamps: Stamps = {}
    for name, path in track(files.items(), f"Hashing {place.name}"):
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        earlier = known.get(name)
        stamps[name] = earlier if earlier and earlier[:3] == stamp else [*stamp, sha256_of(path)]
    return stamps


def digest(stamps: Stamps) -> str:
    """Return 16 hex digits that change with the names or bytes of the files, not with their times."""
    return fingerprint({name: stamp[-1] for name, stamp in stamps.items()})
