"""Guess which part of the file names tells the patient, slide or photo that images belong to."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from tropho.images.file_types import is_image_name

SEPARATORS = r"_.\s-"
MIN_GROUPS = 10
"""Twice the usual number of folds: fewer groups can't be assigned evenly."""
MIN_MEAN = 1.5
"""Images of a group in the mean; below, most images would be groups of their own."""
MAX_SHARE = 0.2
"""Of all images in the largest group."""
MAX_PARTS = 6
MIN_MATCHED = 0.9


class GroupGuess(NamedTuple):
    """A pattern for audit.group_pattern, and an example: a group, and the name of one of its files."""

    pattern: str
    n_groups: int
    group: str
    file_name: str


def guess_groups(image_ids: Sequence[str], labels: Sequence[str | None]) -> GroupGuess | None:
    """Find the shortest beginning of the file names that makes plausible groups.

    A beginning ends at an underscore, a full stop, a space or a hyphen. Its groups must be at least MIN_GROUPS, of
    several images each, and none may hold most images. Names that only repeat the class are no groups.

    Args:
        image_ids: file names, or paths.
        labels: class of each image; None where it has none.

    Returns: the guess; None if no beginning fits.
    """
    stems = [PurePosixPath(image_id).stem for image_id in image_ids]
    rest = "[^/]*[.][^/.]+" if all(map(is_image_name, image_ids)) else "[^/]*"  # an ending is no part of the name
    for n_parts in range(1, MAX_PARTS + 1):
        part = f"[^/{SEPARATORS}]+"
        start = f"{part}(?:[{SEPARATORS}]+{part}){{{n_parts - 1}}}" if n_parts > 1 else part
        pattern = f"(?:^|/)({start})[{SEPARATORS}]{rest}$"
        matches = [re.search(pattern, image_id) for image_id in image_ids]
        keys = [match[1] if match else None for match in matches]
        if _are_groups(keys, labels):
            counts = Counter(key for key in keys if key)
            name = max(counts, key=lambda key: (counts[key], key))
            return GroupGuess(pattern, len(counts), name, stems[keys.index(name)])
    return None


def _are_groups(keys: list[str | None], labels: Sequence[str | None]) -> bool:
    counts = Counter(key for key in keys if key)
    n_matched = counts.total()
    if n_matched < MIN_MATCHED * len(keys) or len(counts) < MIN_GROUPS:
        return False
    if n_matched < MIN_MEAN * len(counts) or max(counts.values()) > MAX_SHARE * len(keys):
        return False
    by_label: dict[str, set[str]] = defaultdict(set)
    for key, label in zip(keys, labels, strict=True):
        if key and label:
            by_label[label].add(key)
    n_pairs = sum(len(names) for names in by_label.values())
    return not by_label or n_pairs >= 2 * len(by_label)
