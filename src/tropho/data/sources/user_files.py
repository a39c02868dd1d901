"""Fingerprint the files that a user placed, so that a changed one is noticed without copying anything."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.copy_files import check_apart, list_files
from tropho.data.sources.download_progress import progress_bar
from tropho.data.sources.local import source_path
from tropho.data.sources.zindi import incoming_folder
from tropho.files import fingerprint, sha256_of

Stamps = dict[str, list[Any]]
"""Posix path of a file -> its size in bytes, time of change and time of status change in ns, and SHA-256."""


def placed_files(settings: TaskConfig, root: Path) -> Path | None:
    """Return the folder or archive in which the user keeps the task's files; None for sources that have none."""
    match settings.download.source:
        case "local":
            return source_path(settings, root)
        case "zindi":
            return incoming_folder(settings, root)
        case _:
            return None


def stamp_files(place: Path, known: Stamps, raw: Path) -> Stamps:
    """Hash the files at `place`, reading only those whose size or times have changed.

    Args:
        place: a folder, searched below, or a single file; where nothing is, the result is empty.
        known: what an earlier call returned.
        raw: the folder that the files will be copied to.

    Raises:
        UsageError: if `raw` lies inside `place`.
        DataError: at a broken or circular link, or a device.
    """
    if place.is_dir():
        check_apart(place, raw)
        files = {path.as_posix(): place / path for path in list_files(place)}
    else:
        files = {place.name: place} if place.is_file() else {}
    stamps: Stamps = {}
    with progress_bar(f"Looking through {place.name}", len(files)) as bar:
        for name, path in files.items():
            stat = path.stat()
            stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            earlier = known.get(name)
            stamps[name] = earlier if earlier and earlier[:3] == stamp else [*stamp, sha256_of(path)]
            bar.advance(bar.task_ids[0])
    return stamps


def digest(stamps: Stamps) -> str:
    """Sixteen hex digits that change with the names or the bytes of the files, and not with their times."""
    return fingerprint({name: stamp[-1] for name, stamp in stamps.items()})
