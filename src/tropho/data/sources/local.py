"""A folder or an archive that the user has: copied or unpacked, never touched."""

import shutil
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources.archives import is_archive, stem_of, unpack
from tropho.data.sources.copy_files import copy_folder
from tropho.data.sources.image_layout import SPLITS, unwrap
from tropho.data.sources.nested_archives import archives_in
from tropho.errors import DataError, UsageError
from tropho.files import sha256_of


def source_path(settings: TaskConfig, root: Path) -> Path:
    """Return where `download.path` leads, from `root`."""
    assert settings.download.path is not None, "settings.py asks for it"
    return root / Path(settings.download.path).expanduser()


def fetch(settings: TaskConfig, to: Path, root: Path) -> dict[str, Any]:
    """Copy the folder, or unpack the archive, at `download.path` (from `root`) into the empty folder `to`.

    Archives among its files are unpacked too.

    Raises:
        UsageError: if nothing is there, or it is neither a folder nor an archive.
        DataError: if it is empty or damaged.
    """
    key = f"tasks.{settings.name}.download.path"
    path = settings.download.path
    source = source_path(settings, root)
    if source.is_dir():
        files = copy_folder(source, to)
        if files == 0:
            raise DataError(f"{source} ({key}) holds no files; put the data set there.")
        return {"source": "local", "path": path, "files": files, **archives_in(to, str(source))}
    if not source.is_file():
        raise UsageError(f"{key}: there is no '{path}' ({source}); put the data set there or correct the path.")
    if not is_archive(source.name):
        raise UsageError(f"{key}: '{path}' must be a folder or an archive (.zip, .tar, .tar.gz).")
    files = unpack_unwrapped(source, to)
    return {
        "source": "local",
        "path": path,
        "files": files,
        "sha256": sha256_of(source),
        **archives_in(to, str(source)),
    }


def unpack_unwrapped(archive: Path, to: Path) -> int:
    """Unpack into the folder `to` without folders that merely wrap the whole; return the number of files."""
    unpacked = to / ".unpacked"
    files = unpack(archive, unpacked)
    stem = stem_of(archive.name)
    for entry in unwrap(unpacked, "" if stem.lower() in SPLITS else stem).iterdir():
        entry.rename(to / entry.name)
    shutil.rmtree(unpacked)
    return files
