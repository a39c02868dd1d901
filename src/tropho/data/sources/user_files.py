"""Hashes of the files that a user placed, so that a changed file is noticed without copying anything."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.local import check_apart, list_files, source_path
from tropho.files import fingerprint, sha256_of
from tropho.log import track
from tropho.paths import Paths

Stamps = dict[str, list[Any]]
"""Posix path of a file -> size in bytes, modification and status change in ns, and SHA-256."""


def placed_files(settings: TaskConfig, root: Path) -> Path | None:
    """Return the folder or archive that holds the user's files; None if the source has none."""
    if settings.download.source == "local":
        return source_path(settings, root)
    return Paths(root, settings.name).incoming if settings.download.source == "zindi" else None


def stamp_files(place: Path, known: Stamps, raw: Path) -> Stamps:
    """Hash the files at `place`; files whose size and times are known are not read.

    Args:
        place: a folder or a file; if neither exists, the result is empty.
        known: result of an earlier call.
        raw: the folder that the files will be copied to.

    Raises:
        UsageError: `raw` lies inside `place`.
        DataError: a link is broken or circular, or an entry is a device.
    """
    files = {place.name: place} if place.is_file() else {}
    if place.is_dir():
        check_apart(place, raw)
        files = {path.as_posix(): place / path for path in list_files(place)}
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
