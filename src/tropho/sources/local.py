"""A folder or an archive that the user has: copied or unpacked, never touched."""

import shutil
from pathlib import Path
from typing import Any

from tropho.errors import DataError, UsageError
from tropho.files import sha256_of
from tropho.settings import TaskSettings
from tropho.sources.archives import is_archive, unpack
from tropho.sources.copying import copy_folder
from tropho.sources.layout import unwrap


def fetch(settings: TaskSettings, to: Path, root: Path) -> dict[str, Any]:
    """Copy the folder, or unpack the archive, at `download.path` (from `root`) into the empty folder `to`.

    Raises:
        UsageError: if nothing is there, or it is neither a folder nor an archive.
        DataError: if it is empty or damaged.
    """
    key = f"tasks.{settings.name}.download.path"
    path = settings.download.path
    assert path is not None, "settings.py asks for it"
    source = root / Path(path).expanduser()
    if source.is_dir():
        files = copy_folder(source, to)
        if files == 0:
            raise DataError(f"{source} ({key}) holds no files; put the data set there.")
        return {"source": "local", "path": path, "files": files}
    if not source.is_file():
        raise UsageError(f"{key}: there is no '{path}' ({source}); put the data set there or correct the path.")
    if not is_archive(source.name):
        raise UsageError(f"{key}: '{path}' must be a folder or an archive (.zip, .tar, .tar.gz).")
    return {
        "source": "local",
        "path": path,
        "files": unpack_unwrapped(source, to),
        "sha256": sha256_of(source),
    }


def unpack_unwrapped(archive: Path, to: Path) -> int:
    """Unpack into the folder `to` without folders that merely wrap the whole; return the number of files."""
    unpacked = to / ".unpacked"
    files = unpack(archive, unpacked)
    for entry in unwrap(unpacked).iterdir():
        entry.rename(to / entry.name)
    shutil.rmtree(unpacked)
    return files
