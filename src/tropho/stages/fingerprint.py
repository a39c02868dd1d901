"""Before stage 1: notice changed files at the source, so that `dvc repro` fetches them again and skips the rest.

DVC runs this at every `dvc repro`. What it writes changes with the bytes at the source, and then alone.
"""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.user_files import digest, placed_files, stamp_files
from tropho.errors import DataError
from tropho.files import read_json, write_json
from tropho.log import info
from tropho.paths import Paths


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Write root/data/fingerprints/TASK.json: the number of files that the user placed, and their hash.

    Sources without such files have settings alone, which DVC watches. Where the files can't be reached, as from
    the folder of a DVC experiment, what was noted before stays, and with it data/raw/TASK.

    Raises:
        UsageError, DataError: if the files can't be copied as they lie.
    """
    paths = Paths(root, settings.name)
    noted = _read(paths.fingerprint)
    found: dict[str, Any] = {"source": settings.download.source, "path": settings.download.path}
    place = placed_files(settings, root)
    if place is not None:
        known = _read(paths.stamps)
        stamps = stamp_files(place, known, paths.raw)
        same_place = {key: noted.get(key) for key in found} == found
        if not stamps and same_place and noted.get("files"):
            info(f"No files are at {place}; data/raw/{settings.name} stays as it was fetched from there.")
            return noted
        if stamps != known:
            write_json(paths.stamps, stamps)
        found |= {"files": len(stamps), "hash": digest(stamps)}
    if found != noted:
        write_json(paths.fingerprint, found)
    return found


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is absent or damaged, as both can be written anew."""
    try:
        value = read_json(path)
    except DataError:
        return {}
    return value if isinstance(value, dict) else {}
