"""Unpack the archives that lie among a data set's files, as competitions publish them: images.zip, train.csv.zip."""

import filecmp
import shutil
from pathlib import Path
from typing import Any

from tropho.data.sources.archives import is_archive, stem_of, unpack
from tropho.data.sources.image_layout import SPLITS, is_annotation, unwrap
from tropho.errors import DataError, ExternalError
from tropho.images.file_types import is_image_name

MAX_DEPTH = 3
"""Of archives inside archives; real data sets have two at most."""


def archives_in(folder: Path, shown: str) -> dict[str, Any]:
    """Unpack the archives below `folder`, as `unpack_archives`; return what provenance.json says of them, if any."""
    counts = unpack_archives(folder, shown)
    return {"archives": counts} if counts else {}


def unpack_archives(folder: Path, shown: str) -> dict[str, int]:
    """Replace every archive below `folder` by what it holds; return its number of files by the archive's path.

    `train.zip` becomes the folder `train`, without folders that merely wrap the whole, and `train.csv.zip` the file
    `train.csv`. A single archive beside which nothing is data becomes the data set itself. A file that is there
    already is left as it is if the archive's is the same.

    Args:
        folder: a copy that may be changed.
        shown: what `folder` is a copy of, for messages.

    Raises:
        DataError: naming the archive, if it is damaged or unsafe, if it holds another file than the one that is
            there under its name, or if archives lie in archives more than `MAX_DEPTH` deep.
        ExternalError: if the disk is too full.
    """
    counts: dict[str, int] = {}
    for _ in range(MAX_DEPTH):
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        archives = [path for path in files if is_archive(path.name)]
        alone = len(archives) == 1 and not any(is_image_name(path.name) or is_annotation(path.name) for path in files)
        for archive in archives:
            try:
                count = _replace(archive, alone and not counts)
            except (DataError, ExternalError) as error:
                raise type(error)(str(error).replace(str(folder), shown)) from error
            counts[archive.relative_to(folder).as_posix()] = count
        if not archives:
            return counts
    left = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_archive(path.name)]
    if left:
        where = f"{shown}/{left[0].relative_to(folder).as_posix()}"
        raise DataError(f"{where} lies in {MAX_DEPTH} archives, one in the other; unpack the outer ones by hand.")
    return counts


def _replace(archive: Path, alone: bool) -> int:
    unpacked = archive.with_name(f".{archive.name}.unpacked")
    count = unpack(archive, unpacked)
    stem = stem_of(archive.name)
    content = unwrap(unpacked, stem)
    files = [path for path in sorted(content.rglob("*")) if path.is_file()]
    if len(files) == 1 and (files[0].name == stem or (files[0].parent == unpacked and _is_table(files[0]))):
        content, to = files[0].parent, archive.parent
    elif alone and stem.lower() not in SPLITS:
        to = archive.parent
    else:
        to = archive.parent / (content.name if content.name.lower() == stem.lower() else stem)
    for file in files:
        _move(file, to / file.relative_to(content), archive)
    shutil.rmtree(unpacked)
    archive.unlink()
    return count


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in {".csv", ".tsv", ".json", ".jsonl"}


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
