"""The image files of a data set, found by the names that label files give them.

How readers use it:

    files = ImageFiles(raw)
    match = files.find("frame_1.png", folder="job2/annotations", subset="validation")
    if match.ambiguous:
        log.add("ambiguous_name", "quarantined", match.detail("frame_1.png"), None, file, row)
    else:
        image = {"path": match.path, ...}  # where the file should be if match.found is False
    ids = unique_ids(paths)  # path -> image_id
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from tropho.data.formats.name_search import (
    SUBSET_WORDS,
    Search,
    climb,
    fold,
    is_absolute,
    parts_of,
    resolved,
    subset_of,
    words_of,
)
from tropho.files import PROVENANCE
from tropho.images.file_types import is_hidden, is_image_name

__all__ = [
    "SUBSET_WORDS",
    "ImageFiles",
    "Match",
    "NamedFiles",
    "climb",
    "same_path",
    "subset_of",
    "unique_ids",
    "words_of",
]


class Match(NamedTuple):
    """The file that a name means."""

    path: str
    """Posix path below the data set: of the file, or of where it should be if there is none."""
    candidates: tuple[str, ...]
    """Files that answer to the name equally well: none, the one, or several (then none of them is meant for sure)."""

    @property
    def found(self) -> bool:
        """Whether there is such a file, and one alone."""
        return len(self.candidates) == 1

    @property
    def ambiguous(self) -> bool:
        """Whether several files answer to the name equally well; labels of that name must not be used."""
        return len(self.candidates) > 1

    def detail(self, name: str) -> str:
        """What is wrong with an ambiguous name, in a sentence that names two of the files."""
        first, second, *more = self.candidates
        others = f" (and {len(more):,} more)" if more else ""
        return (
            f"'{name}' may mean {first} or {second}{others}; its labels are used for neither. Write the path instead."
        )


class NamedFiles:
    """Files of a data set, found by path or by name."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths: list[str] = sorted(paths)
        """Posix paths below the data set."""
        self._known = set(self.paths)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            for key in {fold(PurePosixPath(path).name), fold(PurePosixPath(path).stem)}:
                self._by_name[key].append(path)
        self._folders = sorted({PurePosixPath(path).parent.parts for path in self.paths})
        self._searches: dict[tuple[str, str], Search] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._known

    def find(self, name: str, folder: str = "", subset: str = "") -> Match:
        """The file that a label file calls `name`.

        Names may be paths of other machines, with either kind of slash, in another case or Unicode form, without
        their ending; percent-encoded ones are decoded where nothing is called so literally. A path in full comes
        first, then what lies nearest to the label file, in folders of its subset (train/, images/train, val2017),
        then what shares most folders with the name, then what is spelled alike, then folders called images. Files
        of another subset are not meant where the label file's own subset has folders of images.

        Args:
            name: as the label file has it.
            folder: posix path below the data set of the folder that the label file lies in; "" is the top.
            subset: train | validation | test where the label file (or its row) says so; "" where it does not.
        """
        if "/" in name and name in self._known and not PurePosixPath(folder).parts:
            return Match(name, (name,))
        search = self._searches.get((folder, subset))
        if search is None:
            search = self._searches[folder, subset] = Search(self._folders, folder, subset)
        literal = tuple(name.split("/"))  # on Linux, a backslash may belong to a file's name
        spellings = dict.fromkeys((*([literal] if "\\" in name else []), parts_of(name), parts_of(unquote(name))))
        for parts in filter(None, (resolved(parts, folder) for parts in spellings)):
            best = search.best(parts, self._by_name.get(fold(parts[-1]), []))
            if best:
                return Match(best[0] if len(best) == 1 else "", tuple(best))
        rest = [part for part in parts_of(name) if part != ".."] or [name]
        relative = len(rest) > 1 and not is_absolute(name)
        return Match("/".join(rest if relative else [*search.home, rest[-1]]), ())


class ImageFiles(NamedFiles):
    """The image files below the folder `raw`; hidden ones and litter are left out."""

    def __init__(self, raw: Path) -> None:
        self.folders: list[str] = []
        """Posix paths of every folder below `raw`."""
        files = sorted(_walk(raw, self.folders))
        self.left_aside = [path for path in files if not is_image_name(path) and path != PROVENANCE]
        """Posix paths of the files that are not images by their endings, sorted."""
        super().__init__(path for path in files if is_image_name(path))


def unique_ids(paths: Iterable[str]) -> dict[str, str]:
    """Path -> image_id: the file name, or the path where several paths share a name."""
    paths = set(paths)
    counts = Counter(PurePosixPath(path).name for path in paths)
    return {path: path if counts[PurePosixPath(path).name] > 1 else PurePosixPath(path).name for path in paths}


def same_path(name: str, paths: Iterable[str]) -> list[str]:
    """The paths that a name from the settings spells in full: as it is, or else in any case and with any slash."""
    paths = list(paths)
    exact = [path for path in paths if path == name]
    return exact or [path for path in paths if tuple(map(fold, parts_of(path))) == tuple(map(fold, parts_of(name)))]


def _walk(raw: Path, into: list[str]) -> Iterator[str]:
    """Posix paths of the files below `raw`, hidden ones left out; the folders' paths go to `into`."""
    seen = set()
    for folder, folders, files in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above would be walked for ever
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        below = Path(folder).relative_to(raw)
        into += [(below / name).as_posix() for name in folders]
        yield from ((below / name).as_posix() for name in files if not is_hidden(name))
