"""Match the ids of a sample submission to images, with or without folder and ending."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pandas as pd

from tropho.images.file_types import IMAGE_ENDINGS
from tropho.submission.sample_file import Sample


@dataclass
class Matches:
    """Ids of a sample and the images that they mean."""

    images: dict[str, str] = field(default_factory=dict)  # image_id by sample id, where it means one image
    # image_ids by sample id, where it fits several equally well
    several: dict[str, list[str]] = field(default_factory=dict)


def match_ids(ids: Iterable[str], images: dict[str, str]) -> Matches:
    """Match ids to images: by the whole name, then without folder or ending, in any case, and last as a number.

    An id that fits several images equally well matches none; nor does one whose image another id fits better.

    Args:
        ids: distinct ids, as a sample spells them.
        images: path below the data set by image_id.
    """
    index = _Index(images)
    matches = Matches()
    levels: dict[str, int] = {}
    claims: dict[str, list[str]] = defaultdict(list)  # image_id -> sample ids
    for sample_id in ids:
        levels[sample_id], candidates = index.find(sample_id)
        if len(candidates) == 1:
            claims[next(iter(candidates))].append(sample_id)
        elif candidates:
            matches.several[sample_id] = sorted(candidates)
    images_of = {}
    for image_id, claimants in claims.items():
        least = min(levels[sample_id] for sample_id in claimants)
        best = [sample_id for sample_id in claimants if levels[sample_id] == least]
        if len(best) == 1:
            images_of[best[0]] = image_id
    matches.images = {sample_id: images_of[sample_id] for sample_id in levels if sample_id in images_of}
    return matches


def match_sample(sample: Sample, images: pd.DataFrame) -> tuple[Sample, Matches]:
    """Match a sample's ids; where its id column fits no image, use a column that fits most of them.

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
    """Return the name without its ending, if that is an image's."""
    ending = PurePosixPath(name).suffix
    return name[: -len(ending)] if ending.lower() in IMAGE_ENDINGS else name


class _Index:
    """Images by every name that an id may have for them."""

    def __init__(self, images: dict[str, str]) -> None:
        self.exact = {image_id: {image_id} for image_id in images}
        self.names: dict[str, set[str]] = defaultdict(set)
        self.loose: dict[str, set[str]] = defaultdict(set)
        self.numbers: dict[str, set[str]] = defaultdict(set)
        for image_id, path in images.items():
            for text in {_normalize(image_id), _normalize(path)}:
                parts = text.split("/")
                for tail in ("/".join(parts[start:]) for start in range(len(parts))):
                    for key in {tail, without_ending(tail)} - {""}:
                        self.names[key].add(image_id)
                        self.loose[key.casefold()].add(image_id)
                if number := _number(text):
                    self.numbers[number].add(image_id)

    def find(self, text: str) -> tuple[int, set[str]]:
        """Return the level of the best name, 0 = exact, and the images that have it; none = an empty set."""
        whole = _normalize(text)
        last = whole.rpartition("/")[2]
        names = [whole, without_ending(whole), last, without_ending(last)]
        tries = [
            (self.exact, text),
            *((self.names, name) for name in names),
            *((self.loose, name.casefold()) for name in names),
            (self.numbers, _number(whole)),
        ]
        for level, (keys, key) in enumerate(tries):
            if key in keys:
                return level, keys[key]
        return len(tries), set()


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).replace("\\", "/").removeprefix("./")


def _number(text: str) -> str:
    """Return the file's name as a whole number without leading zeros; empty if it is none."""
    digits = without_ending(text.rpartition("/")[2])
    return str(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 4000 else ""
