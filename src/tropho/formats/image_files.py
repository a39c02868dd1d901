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
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from tropho.files import PROVENANCE
from tropho.images.file_types import is_hidden, is_image_name

SUBSET_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Words of folder and file names, in lower case -> the subset that they name."""
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "jpegimages", "frames", "photos", "pictures"})
_LABEL_WORDS = frozenset({"annotations", "annotation", "labels", "label", "anns", "ann", "xml", "xmls", "json"})
_MASK_WORDS = _LABEL_WORDS | {"masks", "mask", "segmentation", "trimaps", "thumbnails", "thumbs", "preview", "previews"}


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
            for key in {_fold(PurePosixPath(path).name), _fold(PurePosixPath(path).stem)}:
                self._by_name[key].append(path)
        self._searches: dict[tuple[str, str], _Search] = {}

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
        search = self._searches.get((folder, subset))
        if search is None:
            search = self._searches[folder, subset] = _Search(self.paths, folder, subset)
        literal = tuple(name.split("/"))  # on Linux, a backslash may belong to a file's name
        spellings = dict.fromkeys((*([literal] if "\\" in name else []), _parts(name), _parts(unquote(name))))
        for parts in spellings:
            best = search.best(_resolved(parts, folder), self._by_name)
            if best:
                return Match(best[0] if len(best) == 1 else "", tuple(best))
        rest = [part for part in _parts(name) if part != ".."] or [name]
        relative = len(rest) > 1 and not _is_absolute(name)
        return Match("/".join(rest if relative else [*search.home, rest[-1]]), ())

    def locate(self, name: str, near: str = "") -> str:
        """The path of the image called `name`, or where it should be; `find` says whether it is ambiguous."""
        match = self.find(name, near)
        return match.path or f"images/{PurePosixPath(name).name}"


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


class _Search:
    """Ranks files for the names of one label file."""

    def __init__(self, paths: list[str], folder: str, subset: str) -> None:
        self.folder = PurePosixPath(folder).parts
        self.subset = subset
        self._places: dict[tuple[str, ...], _Place] = {}
        folders = {PurePosixPath(path).parent.parts for path in paths} if subset else ()
        own = {each: self._place(each).up for each in sorted(folders) if self._place(each).other_subset == 0}
        self.own_up = min(own.values(), default=None)
        self.home = min(own, key=lambda each: own[each], default=("images",))

    def best(self, parts: tuple[str, ...], by_name: dict[str, list[str]]) -> list[str]:
        """The files that answer best to the parts of a name, sorted."""
        ranked = defaultdict(list)
        for path in by_name.get(_fold(parts[-1]), []) if parts else []:
            rank = self._rank(parts, PurePosixPath(path))
            if rank is not None:
                ranked[rank].append(path)
        return sorted(ranked[min(ranked)]) if ranked else []

    def _rank(self, parts: tuple[str, ...], path: PurePosixPath) -> tuple[int, ...] | None:
        """How well a file answers, less is better; None if it is another subset's."""
        place = self._place(path.parent.parts)
        shared = _shared(tuple(map(_fold, parts[:-1])), tuple(map(_fold, path.parent.parts)))
        named_so = 0 < place.subset_depth <= shared
        if place.other_subset == 2 and not named_so and self.own_up is not None and self.own_up <= place.up:
            return None
        without_ending = _fold(path.name) != _fold(parts[-1])
        last = path.stem if without_ending else path.name
        spelled = (*path.parts[len(path.parts) - 1 - shared : -1], last)
        spelling = 3 * without_ending + _difference(spelled, parts[len(parts) - 1 - shared :])
        folded = tuple(map(_fold, (*path.parts[:-1], last)))
        whole = [tuple(map(_fold, each)) for each in (parts, (*self.folder, *parts))]
        return (
            not (len(parts) > 1 and folded in whole),
            place.up,
            0 if named_so else place.other_subset,
            -shared,
            place.unlike,
            place.is_mask,
            spelling,
            folded != whole[1],
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
        subsets = [(depth, subset_of(part)) for depth, part in enumerate(reversed(folder), start=1)]
        depth, named = next(((depth, name) for depth, name in subsets if name), (0, ""))
        other = 1 if not named or not self.subset else 0 if named == self.subset else 2
        words = {part.lower() for part in folder}
        unlike = -_shared(self.folder[common:], folder[common:])
        self._places[folder] = _Place(up, other, depth, unlike, bool(words & _MASK_WORDS), bool(words & _IMAGE_WORDS))
        return self._places[folder]


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


def _fold(text: str) -> str:
    """Text as it is compared: without case and in one Unicode form."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a path of any system: with either slash, with a drive or file:// in front."""
    bare = re.sub(r"^(file:/*)?([A-Za-z]:(?=[\\/]))?", "", name.strip(), flags=re.IGNORECASE)
    return tuple(part for part in bare.replace("\\", "/").split("/") if part not in ("", "."))


def _is_absolute(name: str) -> bool:
    return bool(re.match(r"[\\/]|file:|[A-Za-z]:[\\/]", name.strip(), flags=re.IGNORECASE))


def _resolved(parts: tuple[str, ...], folder: str) -> tuple[str, ...]:
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
