"""What a data set holds that no training image comes of: files of other kinds, classes without a usable image."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tropho.data.formats.labels import IssueLog
from tropho.errors import DataError
from tropho.images.decode import image_size
from tropho.images.file_types import ending_of

_NOT_PICTURES = frozenset({"", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".txt", ".yaml", ".yml", ".names", ".data"})
_NOT_PICTURES |= {".cfg", ".ini", ".log", ".md", ".rst", ".html", ".py", ".ipynb"}
"""Endings of label files and of what people write about them; "" is none, as of LICENSE."""
_ARCHIVES = frozenset({".rar", ".7z", ".zst", ".z01", ".z02", ".001", ".002"})
"""Endings of archives, or parts of them, that the stage download does not unpack."""
LISTED = 20
"""Endings that get an issue of their own."""


def list_other_files(raw: Path, paths: Iterable[str], log: IssueLog) -> dict[str, int]:
    """List by their endings the files that are neither images nor text, the commonest first; and images without one.

    Args:
        raw: data/raw/TASK, where the files lie.
        paths: posix paths of the files that are not images by their endings.
        log: gets an issue an ending, for at most LISTED of them.

    Returns:
        Files of every ending, text too, in lower case; "none" for those without one.
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    bare: list[str] = []
    for path in paths:
        if not ending_of(path) and _is_image(raw / path):
            bare.append(path)
        first.setdefault(ending_of(path), path)
        counts[ending_of(path)] += 1
    packed = [ending for ending in counts if ending in _ARCHIVES]
    for ending in packed:
        detail = (
            f"{counts[ending]:,} files end in {ending}, such as {first[ending]}; unpack them, or pack them as .zip."
        )
        log.add("other_files", "listed", detail, None, first[ending])
    unread = [ending for ending, _ in counts.most_common() if ending not in _NOT_PICTURES | _ARCHIVES]
    for ending in unread[:LISTED]:
        detail = f"{counts[ending]:,} files end in {ending}, such as {first[ending]}; they are not read as images."
        log.add(
            "other_files", "listed", f"{detail[:-1]} (if they are, convert them to PNG or JPEG).", None, first[ending]
        )
    if bare:
        detail = f"{len(bare):,} images have no ending in their names, such as {bare[0]}; they are not read."
        log.add("other_files", "listed", f"{detail[:-1]} (call them {bare[0]}.png or the like).", None, bare[0])
    if len(unread) > LISTED:
        rest = sum(counts[ending] for ending in unread[LISTED:])
        log.add("other_files", "listed", f"{rest:,} files more have one of {len(unread) - LISTED:,} further endings.")
    return {ending or "none": number for ending, number in counts.most_common()}


def _is_image(path: Path) -> bool:
    try:
        image_size(path)
    except DataError:
        return False
    return True


def list_classes_without_images(images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str], log: IssueLog) -> None:
    """List the classes of which no training image is left that can be used, where other classes have some."""
    usable = images[(images["status"] == "ok") & (images["subset"] != "test")]
    boxed = boxes.loc[~boxes["ignore"] & boxes["image_id"].isin(usable["image_id"]), "label"]
    for name in classes if len(usable) else []:
        if name not in set(usable["label"].dropna()) | set(boxed):
            log.add("empty_class", "listed", f"No usable training image shows the class '{name}'.")
