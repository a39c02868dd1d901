"""Which image an id of the sample submission means, with or without its folder and ending."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pandas as pd

from tropho.images.file_types import IMAGE_ENDINGS
from tropho.submission.sample_file import Sample

Keys = dict[str, set[str]]


@dataclass
class Matches:
    """Ids of a sample that mean one image each, and those that several images answer to."""

    images: dict[str, str] = field(default_factory=dict)  # id of the sample -> image_id
    several: dict[str, list[str]] = field(default_factory=dict)  # id of the sample -> image_ids


def match_ids(ids: Iterable[str], images: dict[str, str]) -> Matches:
    """Match ids to images: by the whole name, then without folder or ending, in any case, and last as a number.

    An id that fits several images equally well is matched to none; so is one whose image another id fits better.

    Args:
        ids: distinct ids, as a sample spells them.
        images: path of each image below the data set, by image_id.
    """
    index = _Index(images)
    found: dict[str, tuple[int, str]] = {}
    matches = Matches()
    for each in ids:
        level, candidates = index.find(each)
        if len(candidates) == 1:
            found[each] = level, next(iter(candidates))
        elif candidates:
            matches.several[each] = sorted(candidates)
    claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for each, (level, image_id) in found.items():
        claims[image_id].append((level, each))
    for image_id, claimants in claims.items():
        best = min(level for level, _ in claimants)
        closest = [each for level, each in claimants if level == best]
        if len(closest) == 1:
            matches.images[closest[0]] = image_id
    matches.images = {each: matches.images[each] for each in found if each in matches.images}
    return matches


def with_matches(sample: Sample, images: pd.DataFrame) -> tuple[Sample, Matches]:
    """The sample and its matches; where its column of ids fits no image, a column that fits most of them counts.

    Args:
        sample: the sample submission.
        images: columns image_id and path, of the test images.
    """
    paths = dict(zip(images["image_id"].astype(str), images["path"].fillna("").astype(str), strict=True))
    first = match_ids(sample.ids, paths)
    others = [replace(sample, id_column=index) for index in range(len(sample.header)) if index != sample.id_column]
    for other in others if not first.images else []:
        matches = match_ids(other.ids, paths)
        if len(other.ids) >= len(sample.ids) and 2 * len(matches.images) >= len(other.ids):
            return other, matches
    return sample, first


def without_ending(name: str) -> str:
    """The name without its ending, if that is an image's."""
    ending = PurePosixPath(name).suffix
    return name[: -len(ending)] if ending.lower() in IMAGE_ENDINGS else name


class _Index:
    """Images by every name that an id may have for them."""

    def __init__(self, images: dict[str, str]) -> None:
        self.exact: Keys = {image_id: {image_id} for image_id in images}
        self.names: Keys = defaultdict(set)
        self.loose: Keys = defaultdict(set)
        self.numbers: Keys = defaultdict(set)
        for image_id, path in images.items():
            for text in {_plain(image_id), _plain(path)}:
                parts = text.split("/")
                for tail in ("/".join(parts[start:]) for start in range(len(parts))):
                    for key in {tail, without_ending(tail)} - {""}:
                        self.names[key].add(image_id)
                        self.loose[key.casefold()].add(image_id)
                number = _number(text)
                if number:
                    self.numbers[number].add(image_id)

    def find(self, text: str) -> tuple[int, set[str]]:
        """How far-fetched the best name is, from 0 on, and the images that have it; none = an empty set."""
        plain = _plain(text)
        last = plain.rpartition("/")[2]
        names = [plain, without_ending(plain), last, without_ending(last)]
        tries = [
            (self.exact, text),
            *((self.names, name) for name in names),
            *((self.loose, name.casefold()) for name in names),
            (self.numbers, _number(plain)),
        ]
        for level, (keys, key) in enumerate(tries):
            if key in keys:
                return level, keys[key]
        return len(tries), set()


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).replace("\\", "/").removeprefix("./")


def _number(text: str) -> str:
    """The file's name as a whole number without leading zeros; empty if it is none."""
    digits = without_ending(text.rpartition("/")[2])
    return str(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 4000 else ""
