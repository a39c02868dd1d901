"""Find the image files of a data set by the names that label files give them."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from tropho.data.formats.name_search import Search, fold, is_absolute, parts_of, resolved
from tropho.files import PROVENANCE
from tropho.images.file_types import is_hidden, is_image_name


class Match(NamedTuple):
    """The file that a name means."""

    path: str  # posix path below the data set: of the file, or of where it should be if there is none
    candidates: tuple[str, ...]  # files that fit the name equally well; several mean that the name is ambiguous

    @property
    def found(self) -> bool:
        """Whether exactly one file fits."""
        return len(self.candidates) == 1

    @property
    def ambiguous(self) -> bool:
        """Whether several files fit equally well, so that labels of the name must not be used."""
        return len(self.candidates) > 1

    def detail(self, name: str) -> str:
        """Describe an ambiguous name, with two of its files."""
        first, second, *more = self.candidates
        others = f" (and {len(more):,} more)" if more else ""
        return (
            f"'{name}' may mean {first} or {second}{others}; its labels are used for neither. Write the path instead."
        )


class NamedFiles:
    """Files of a data set, found by path or by name.

    Args:
        paths: posix paths below the data set.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(paths)
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
        """Find the file that a label file calls `name`.

        Names may be paths of other machines, with either slash, in another case or Unicode form, percent-encoded,
        or without their ending. `Search` ranks the candidates; files of another subset don't count where the label
        file's subset has folders of its own.

        Args:
            name: as the label file has it.
            folder: posix path of the label file's folder below the data set; "" is the top.
            subset: train | validation | test where the label file (or its row) says so, else "".
        """
        if "/" in name and name in self._known and not PurePosixPath(folder).parts:
            return Match(name, (name,))
        search = self._searches.get((folder, subset))
        if search is None:
            search = self._searches[folder, subset] = Search(self._folders, folder, subset)
        literal = tuple(name.split("/"))  # on Linux, a backslash may belong to a file's name
        variants = dict.fromkeys((*([literal] if "\\" in name else []), parts_of(name), parts_of(unquote(name))))
        for parts in filter(None, (resolved(parts, folder) for parts in variants)):
            best = search.best(parts, self._by_name.get(fold(parts[-1]), []))
            if best:
                return Match(best[0] if len(best) == 1 else "", tuple(best))
        absent = [part for part in parts_of(name) if part != ".."] or [name]
        relative = len(absent) > 1 and not is_absolute(name)
        return Match("/".join(absent if relative else [*search.home, absent[-1]]), ())


class ImageFiles(NamedFiles):
    """The image files below `raw`, without hidden ones.

    Attributes:
        folders: posix paths of every folder below `raw`.
        left_aside: posix paths of the files that are not images by their endings, sorted.
    """

    def __init__(self, raw: Path) -> None:
        self.folders: list[str] = []
        files = sorted(_walk(raw, self.folders))
        self.left_aside = [path for path in files if not is_image_name(path) and path != PROVENANCE]
        super().__init__(path for path in files if is_image_name(path))


def unique_ids(paths: Iterable[str]) -> dict[str, str]:
    """Map each path to its image_id: the file name, or the path where several paths share a name."""
    paths = set(paths)
    counts = Counter(PurePosixPath(path).name for path in paths)
    return {path: path if counts[PurePosixPath(path).name] > 1 else PurePosixPath(path).name for path in paths}


def same_path(name: str, paths: Iterable[str]) -> list[str]:
    """List the paths equal to `name`, or else those equal to it in any case and with either slash."""
    paths = list(paths)
    exact = [path for path in paths if path == name]
    return exact or [path for path in paths if tuple(map(fold, parts_of(path))) == tuple(map(fold, parts_of(name)))]


def _walk(raw: Path, all_folders: list[str]) -> Iterator[str]:
    """Yield posix paths of the files below `raw`, without hidden ones; append folders to `all_folders`."""
    seen = set()
    for folder, folders, files in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above would be walked for ever
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        below = Path(folder).relative_to(raw)
        all_folders += [(below / name).as_posix() for name in folders]
        yield from ((below / name).as_posix() for name in files if not is_hidden(name))
