"""Which of several files a label file means by a name: by folders, subset and spelling."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

SUBSET_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Words of folder and file names, in lower case -> the subset that they name."""
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "jpegimages", "frames", "photos", "pictures"})
_LABEL_WORDS = frozenset({"annotations", "annotation", "labels", "label", "anns", "ann", "xml", "xmls", "json"})
_MASK_WORDS = _LABEL_WORDS | {"masks", "mask", "segmentation", "trimaps", "thumbnails", "thumbs", "preview", "previews"}


def subset_of(name: str) -> str:
    """The subset that a file's or folder's name speaks of (instances_val2017 -> validation); "" for none or several."""
    named = {SUBSET_WORDS[word] for word in words_of(name) if word in SUBSET_WORDS}
    return named.pop() if len(named) == 1 else ""


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: instances_val2017 -> instances, val; TrainImages -> train, images."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


def climb(folder: str, path: str) -> int:
    """How many folders to climb from `folder` to one below which the file at `path` lies too."""
    parts = PurePosixPath(folder).parts
    return len(parts) - _shared(parts[::-1], PurePosixPath(path).parent.parts[::-1])


MANY = 50
"""Files of one name that are looked through at once; more of them are parted by how far off they lie."""


class _Place(NamedTuple):
    """How a folder of images lies to a label file; less is nearer."""

    up: int
    """Folders to climb from the label file's folder to one that holds both."""
    other_subset: int
    """0: of the label file's subset, 1: of none, 2: of another."""
    subset_depth: int
    """The folder's part that names a subset, counted from its end, 1 = the last; 0 where none does."""
    unlike: int
    """Minus the parts that both folders end with, as labels/train and images/train do."""
    is_mask: bool
    is_image: bool


class Search:
    """Ranks files for the names of one label file."""

    def __init__(self, folders: Iterable[tuple[str, ...]], folder: str, subset: str) -> None:
        """Get ready for a label file of `subset` ("": unknown) in `folder`; `folders` are those that hold files."""
        self.folder = PurePosixPath(folder).parts
        self.subset = subset
        self._places: dict[tuple[str, ...], _Place] = {}
        own = [each for each in folders if _named_subset(each)[1] == subset] if subset else []
        self.own_up = min((self._place(each).up for each in own), default=None)
        self.home = min(own, key=lambda each: self._place(each).up, default=("images",))

    def best(self, parts: tuple[str, ...], candidates: list[str]) -> list[str]:
        """The candidates that answer best to the parts of a name, sorted."""
        for pool in self._pools(parts, candidates):
            ranked = defaultdict(list)
            for path in pool:
                rank = self._rank(parts, PurePosixPath(path))
                if rank is not None:
                    ranked[rank].append(path)
            if ranked:
                return sorted(ranked[min(ranked)])
        return []

    def _pools(self, parts: tuple[str, ...], candidates: list[str]) -> Iterator[list[str]]:
        """The candidates in pools, of which each holds only such as rank before those of the next."""
        if len(candidates) < MANY:
            yield candidates
            return
        if len(parts) > 1:
            yield [path for path in candidates if self._is_whole(parts, PurePosixPath(path))]
        start = 1 if self.folder and self.folder[-1].lower() in _LABEL_WORDS else 0
        for up in range(start, len(self.folder) + 1):
            above = "/".join(self.folder[: len(self.folder) - up])
            yield [path for path in candidates if not above or path.startswith(f"{above}/")]

    def _is_whole(self, parts: tuple[str, ...], path: PurePosixPath) -> bool:
        """Whether a name is the file's path in full, from the top or from the label file's folder."""
        last = path.name if fold(path.name) == fold(parts[-1]) else path.stem
        folded = tuple(map(fold, (*path.parts[:-1], last)))
        return folded in (tuple(map(fold, parts)), tuple(map(fold, (*self.folder, *parts))))

    def _rank(self, parts: tuple[str, ...], path: PurePosixPath) -> tuple[int, ...] | None:
        """How well a file answers, less is better; None if it is another subset's."""
        place = self._place(path.parent.parts)
        shared = _shared(tuple(map(fold, parts[:-1])), tuple(map(fold, path.parent.parts)))
        named_so = 0 < place.subset_depth <= shared
        if place.other_subset == 2 and not named_so and self.own_up is not None and self.own_up <= place.up:
            return None
        without_ending = fold(path.name) != fold(parts[-1])
        last = path.stem if without_ending else path.name
        spelled = (*path.parts[len(path.parts) - 1 - shared : -1], last)
        spelling = 3 * without_ending + _difference(spelled, parts[len(parts) - 1 - shared :])
        direct = tuple(map(fold, (*path.parts[:-1], last))) == tuple(map(fold, (*self.folder, *parts)))
        return (
            not (len(parts) > 1 and self._is_whole(parts, path)),
            place.up,
            0 if named_so else place.other_subset,
            -shared,
            place.unlike,
            place.is_mask,
            spelling,
            not direct,
            not place.is_image,
        )

    def _place(self, folder: tuple[str, ...]) -> _Place:
        known = self._places.get(folder)
        if known is not None:
            return known
        common = _shared(self.folder[::-1], folder[::-1])
        up = len(self.folder) - common
        if up == 0 and len(folder) > common and self.folder and self.folder[-1].lower() in _LABEL_WORDS:
            up = 1  # pictures in a folder below annotations/ are no nearer than images/ beside it
        depth, named = _named_subset(folder)
        other = 1 if not named or not self.subset else 0 if named == self.subset else 2
        words = {part.lower() for part in folder}
        unlike = -_shared(self.folder[common:], folder[common:])
        self._places[folder] = _Place(up, other, depth, unlike, bool(words & _MASK_WORDS), bool(words & _IMAGE_WORDS))
        return self._places[folder]


@lru_cache(maxsize=65_536)
def _named_subset(folder: tuple[str, ...]) -> tuple[int, str]:
    """The subset that a folder's parts speak of, the last that does, and its place counted from the end; or (0, "")."""
    subsets = ((depth, subset_of(part)) for depth, part in enumerate(reversed(folder), start=1))
    return next(((depth, name) for depth, name in subsets if name), (0, ""))


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Text as it is compared: without case and outer blanks, which tables lose, and in one Unicode form."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold()).strip()


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file of a path of any system: with either slash, with a drive or file:// in front."""
    bare = re.sub(r"^(file:/*)?([A-Za-z]:(?=[\\/]))?", "", name.strip(), flags=re.IGNORECASE)
    return tuple(part for part in bare.replace("\\", "/").split("/") if part not in ("", "."))


def is_absolute(name: str) -> bool:
    """Whether a path starts from the top of some machine."""
    return bool(re.match(r"[\\/]|file:|[A-Za-z]:[\\/]", name.strip(), flags=re.IGNORECASE))


def resolved(parts: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """Parts without `..`, which count from the label file's folder."""
    if ".." not in parts:
        return parts
    out: list[str] = list(PurePosixPath(folder).parts) if parts[0] == ".." else []
    for part in parts:
        if part != "..":
            out.append(part)
        elif out:
            out.pop()
    return tuple(out)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts both end with."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _difference(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """0: spelled alike, 1: in another Unicode form, 2: in another case."""
    if one == other:
        return 0
    normal = [[unicodedata.normalize("NFC", part) for part in each] for each in (one, other)]
    return 1 if normal[0] == normal[1] else 2
