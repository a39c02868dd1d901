"""Rank the files that a name in a label file may mean, by folders, subset and spelling."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

SUBSET_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Words of folder and file names, in lower case -> subset."""
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "jpegimages", "frames", "photos", "pictures"})
_LABEL_WORDS = frozenset({"annotations", "annotation", "labels", "label", "anns", "ann", "xml", "xmls", "json"})
_MASK_WORDS = _LABEL_WORDS | {"masks", "mask", "segmentation", "trimaps", "thumbnails", "thumbs", "preview", "previews"}


def subset_of(name: str) -> str:
    """Return the subset that a file's or folder's name contains (instances_val2017 -> validation), else ""."""
    subsets = {SUBSET_WORDS[word] for word in words_of(name) if word in SUBSET_WORDS}
    return subsets.pop() if len(subsets) == 1 else ""


def subset_of_path(path: str) -> str:
    """Return the subset that a folder of a path names, the nearest to the file first, else ""."""
    return next(filter(None, map(subset_of, reversed(PurePosixPath(path).parent.parts))), "")


def words_of(name: str) -> list[str]:
    """Split a name into lower-case words: instances_val2017 -> instances, val; TrainImages -> train, images."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


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


class Search:
    """Rank files for the names of one label file.

    Args:
        folders: parts of the folders that hold files.
        folder: the label file's folder.
        subset: of the label file; "" = unknown.
    """

    def __init__(self, folders: Iterable[tuple[str, ...]], folder: str, subset: str) -> None:
        self.folder = PurePosixPath(folder).parts
        self.subset = subset
        self._ranks: dict[tuple[str, ...], _FolderRank] = {}
        own = [parts for parts in folders if _named_subset(parts)[1] == subset] if subset else []
        self.own_up = min((self._folder_rank(parts).up for parts in own), default=None)
        self.home = min(own, key=lambda parts: self._folder_rank(parts).up, default=("images",))

    def best(self, parts: tuple[str, ...], candidates: list[str]) -> list[str]:
        """Return the best candidates for a name, given by its parts; sorted."""
        ranked = defaultdict(list)
        for path in candidates:
            rank = self._rank(parts, PurePosixPath(path))
            if rank is not None:
                ranked[rank].append(path)
        return sorted(ranked[min(ranked)]) if ranked else []

    def _is_full_path(self, parts: tuple[str, ...], path: PurePosixPath) -> bool:
        """Whether a name is the file's full path, from the top or from the label file's folder."""
        last = path.name if fold(path.name) == fold(parts[-1]) else path.stem
        folded = tuple(map(fold, (*path.parts[:-1], last)))
        return folded in (tuple(map(fold, parts)), tuple(map(fold, (*self.folder, *parts))))

    def _rank(self, parts: tuple[str, ...], path: PurePosixPath) -> tuple[int, ...] | None:
        """Rank a file, less is better; None if it belongs to another subset."""
        place = self._folder_rank(path.parent.parts)
        shared = _common_suffix(tuple(map(fold, parts[:-1])), tuple(map(fold, path.parent.parts)))
        names_subset = 0 < place.subset_depth <= shared
        if place.other_subset == 2 and not names_subset and self.own_up is not None and self.own_up <= place.up:
            return None
        without_ending = fold(path.name) != fold(parts[-1])
        last = path.stem if without_ending else path.name
        same = (*path.parts[len(path.parts) - 1 - shared : -1], last)
        spelling = 3 * without_ending + _difference(same, parts[len(parts) - 1 - shared :])
        direct = tuple(map(fold, (*path.parts[:-1], last))) == tuple(map(fold, (*self.folder, *parts)))
        return (
            not (len(parts) > 1 and self._is_full_path(parts, path)),
            place.up,
            0 if names_subset else place.other_subset,
            -shared,
            place.unlike,
            place.is_mask,
            spelling,
            not direct,
            not place.is_image,
        )

    def _folder_rank(self, folder: tuple[str, ...]) -> _FolderRank:
        if folder in self._ranks:
            return self._ranks[folder]
        common = _common_suffix(self.folder[::-1], folder[::-1])
        up = len(self.folder) - common
        if up == 0 and len(folder) > common and self.folder and self.folder[-1].lower() in _LABEL_WORDS:
            up = 1  # images in a folder below annotations/ are no nearer than images/ beside it
        depth, subset = _named_subset(folder)
        other = 1 if not subset or not self.subset else 0 if subset == self.subset else 2
        words = {part.lower() for part in folder}
        unlike = -_common_suffix(self.folder[common:], folder[common:])
        rank = _FolderRank(up, other, depth, unlike, bool(words & _MASK_WORDS), bool(words & _IMAGE_WORDS))
        return self._ranks.setdefault(folder, rank)


@lru_cache(maxsize=65_536)
def _named_subset(folder: tuple[str, ...]) -> tuple[int, str]:
    """Return the last part of a folder that names a subset, counted from the end, and the subset; or (0, "")."""
    subsets = ((depth, subset_of(part)) for depth, part in enumerate(reversed(folder), start=1))
    return next(((depth, name) for depth, name in subsets if name), (0, ""))


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Normalize text for comparison: no case, no outer blanks, one Unicode form."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold()).strip()


def parts_of(name: str) -> tuple[str, ...]:
    """Split a path of any system into its parts, without a drive or file:// in front."""
    bare = re.sub(r"^(file:/*)?([A-Za-z]:(?=[\\/]))?", "", name.strip(), flags=re.IGNORECASE)
    return tuple(part for part in bare.replace("\\", "/").split("/") if part not in ("", "."))


def is_absolute(name: str) -> bool:
    """Whether a path starts from the top of some machine."""
    return bool(re.match(r"[\\/]|file:|[A-Za-z]:[\\/]", name.strip(), flags=re.IGNORECASE))


def resolved(parts: tuple[str, ...], folder: str) -> tuple[str, ...]:
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


def _common_suffix(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Count the parts that both end with."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _difference(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Return 0 for equal spelling, 1 for another Unicode form, 2 for another case."""
    if first == second:
        return 0
    normal = [[unicodedata.normalize("NFC", part) for part in parts] for parts in (first, second)]
    return 1 if normal[0] == normal[1] else 2
