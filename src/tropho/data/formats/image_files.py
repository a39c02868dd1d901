"""Find the image files of a data set by the names that label files give them.

Several files may fit a name; folders, subset and spelling rank them.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from tropho.files import PROVENANCE
from tropho.images.file_types import is_image_name, walk
from tropho.tables import nfc

Parts = tuple[str, ...]  # of a path
SUBSET_WORDS = {
    **dict.fromkeys(("train", "training", "trainset", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset"), "validation"),
    **dict.fromkeys(("test", "testing", "testset", "testdev"), "test"),
}
"""Words of folder and file names, in lower case -> subset."""
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "jpegimages", "frames", "photos", "pictures"})
LABEL_WORDS = frozenset(
    {"annotations", "annotation", "labels", "label", "label_2", "label_02", "anns", "ann", "xml", "xmls", "json"}
)
_MASK_WORDS = LABEL_WORDS | {"masks", "mask", "segmentation", "trimaps", "thumbnails", "thumbs", "preview", "previews"}


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
        self._searches: dict[tuple[str, str], _Search] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._known

    def find(self, name: str, folder: str = "", subset: str = "") -> Match:
        """Find the file that a label file in the folder `folder` calls `name`.

        Names may be paths of other machines, with either slash, in another case or Unicode form, percent-encoded,
        or without their ending. `subset` is that of the label file or its row, "" if unknown. Files of another subset
        don't count where it has folders of its own.
        """
        if "/" in name and name in self._known and not PurePosixPath(folder).parts:
            return Match(name, (name,))
        search = self._searches.get((folder, subset))
        if search is None:
            search = self._searches[folder, subset] = _Search(self._folders, folder, subset)
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
        files, self.folders = walk(raw)
        self.left_aside = [path for path in files if not is_image_name(path) and path != PROVENANCE]
        super().__init__(path for path in files if is_image_name(path))


def unique_ids(paths: Iterable[str]) -> dict[str, str]:
    """Map each path to its image_id: the file name, or the path where several paths share a name."""
    names = {path: PurePosixPath(path).name for path in paths}
    counts = Counter(names.values())
    return {path: path if counts[name] > 1 else name for path, name in names.items()}


def same_path(name: str, paths: Iterable[str]) -> list[str]:
    """List the paths equal to `name`, or else those equal to it in any case and with either slash."""
    paths = list(paths)
    exact = [path for path in paths if path == name]
    return exact or [path for path in paths if _folded(parts_of(path)) == _folded(parts_of(name))]


def subset_of(name: str) -> str:
    """Return the subset that a word of a file's or folder's name means (instances_val2017 -> validation), else ""."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    subsets = {subset for word, subset in SUBSET_WORDS.items() if word in words}
    return subsets.pop() if len(subsets) == 1 else ""


def subset_of_path(path: str) -> str:
    """Return the subset that a folder of a path names, the nearest to the file first, else ""."""
    return next(filter(None, map(subset_of, reversed(PurePosixPath(path).parent.parts))), "")


def subset_of_file(path: str) -> str:
    """Return the subset that a file's name contains, or else the nearest of its folders, else ""."""
    return subset_of(PurePosixPath(path).stem) or subset_of_path(path)


def climb(folder: str, path: str) -> int:
    """Count the folders to climb from `folder` until the file at `path` lies below."""
    parts = PurePosixPath(folder).parts
    return len(parts) - _common_suffix(parts[::-1], PurePosixPath(path).parent.parts[::-1])


class _FolderRank(NamedTuple):
    """How a folder of images lies to a label file; less is nearer."""

    up: int  # folders to climb from the label file's folder to one that holds both
    other_subset: int  # 0: of the label file's subset, 1: of none, 2: of another
    subset_depth: int  # the part that names a subset, counted from the end, 1 = the last; 0 = none
    unlike: int  # minus the parts that both folders end with, as labels/train and images/train do
    is_mask: bool
    is_image: bool


class _Search:
    """Rank files for the names of one label file, which lies in `folder` and is of `subset` ("" = unknown)."""

    def __init__(self, folders: Iterable[Parts], folder: str, subset: str) -> None:
        self.folder = PurePosixPath(folder).parts
        self.subset = subset
        self._ranks: dict[Parts, _FolderRank] = {}
        own = [parts for parts in folders if _named_subset(parts)[1] == subset] if subset else []
        self.own_up = min((self._folder_rank(parts).up for parts in own), default=None)
        self.home = min(own, key=lambda parts: self._folder_rank(parts).up, default=("images",))

    def best(self, parts: Parts, candidates: list[str]) -> list[str]:
        """Return the best candidates for a name, given by its parts; sorted."""
        ranked = defaultdict(list)
        for path in candidates:
            rank = self._rank(parts, PurePosixPath(path))
            if rank is not None:
                ranked[rank].append(path)
        return sorted(ranked[min(ranked)]) if ranked else []

    def _rank(self, parts: Parts, path: PurePosixPath) -> tuple[int, ...] | None:
        """Rank a file, less is better; None if it belongs to another subset."""
        folders = path.parts[:-1]
        place = self._folder_rank(folders)
        shared = _common_suffix(_folded(parts[:-1]), _folded(folders))
        names_subset = 0 < place.subset_depth <= shared
        if place.other_subset == 2 and not names_subset and self.own_up is not None and self.own_up <= place.up:
            return None
        without_ending = fold(path.name) != fold(parts[-1])
        full = (*folders, path.stem if without_ending else path.name)
        is_direct = _folded(full) == _folded((*self.folder, *parts))
        is_full_path = len(parts) > 1 and (is_direct or _folded(full) == _folded(parts))
        return (
            not is_full_path,
            place.up,
            0 if names_subset else place.other_subset,
            -shared,
            place.unlike,
            place.is_mask,
            3 * without_ending + _difference(full[len(folders) - shared :], parts[len(parts) - 1 - shared :]),
            not is_direct,
            not place.is_image,
        )

    def _folder_rank(self, folder: Parts) -> _FolderRank:
        if folder in self._ranks:
            return self._ranks[folder]
        common = _common_suffix(self.folder[::-1], folder[::-1])
        up = len(self.folder) - common
        if up == 0 and len(folder) > common and self.folder and self.folder[-1].lower() in LABEL_WORDS:
            up = 1  # images in a folder below annotations/ are no nearer than images/ beside it
        depth, subset = _named_subset(folder)
        other = 1 if not subset or not self.subset else 0 if subset == self.subset else 2
        words = {part.lower() for part in folder}
        unlike = -_common_suffix(self.folder[common:], folder[common:])
        rank = _FolderRank(up, other, depth, unlike, bool(words & _MASK_WORDS), bool(words & _IMAGE_WORDS))
        return self._ranks.setdefault(folder, rank)


@lru_cache(maxsize=65_536)
def _named_subset(folder: Parts) -> tuple[int, str]:
    """Return the last part of a folder that names a subset, counted from the end, and the subset; or (0, "")."""
    subsets = ((depth, subset_of(part)) for depth, part in enumerate(reversed(folder), start=1))
    return next(((depth, name) for depth, name in subsets if name), (0, ""))


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Normalize text for comparison: no case, no outer blanks, one Unicode form."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold()).strip()


def _folded(parts: Parts) -> Parts:
    return tuple(map(fold, parts))


def parts_of(name: str) -> Parts:
    """Split a path of any system into its parts, without a drive or file:// in front."""
    bare = re.sub(r"^(file:/*)?([A-Za-z]:(?=[\\/]))?", "", name.strip(), flags=re.IGNORECASE)
    return tuple(part for part in bare.replace("\\", "/").split("/") if part not in ("", "."))


def is_absolute(name: str) -> bool:
    """Whether a path starts from the top of some machine."""
    return bool(re.match(r"[\\/]|file:|[A-Za-z]:[\\/]", name.strip(), flags=re.IGNORECASE))


def resolved(parts: Parts, folder: str) -> Parts:
    """Remove `..` from the parts of a path; a leading one counts from the label file's folder."""
    if ".." not in parts:
        return parts
    out: list[str] = list(PurePosixPath(folder).parts) if parts[0] == ".." else []
    for part in parts:
        if part != "..":
            out.append(part)
        elif out:
            out.pop()
    return tuple(out)


def _common_suffix(first: Parts, second: Parts) -> int:
    """Count the parts that both end with."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _difference(first: Parts, second: Parts) -> int:
    """Return 0 for equal spelling, 1 for another Unicode form, 2 for another case."""
    return (first != second) + (tuple(map(nfc, first)) != tuple(map(nfc, second)))
