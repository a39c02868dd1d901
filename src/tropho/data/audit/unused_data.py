"""List what training can't use: files of other kinds, classes without an image; stop where nothing is left."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from tropho.data.formats.label_collector import IssueLog
from tropho.errors import DataError
from tropho.images.decode import image_size
from tropho.images.file_types import ending_of

_TEXT = frozenset({"", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".txt", ".yaml", ".yml", ".names", ".data"})
_TEXT |= {".cfg", ".ini", ".log", ".md", ".rst", ".html", ".py", ".ipynb"}
"""Endings of label files and of what people write about them; "" is none, as of LICENSE."""


def list_other_files(raw: Path, paths: Iterable[str], log: IssueLog) -> dict[str, int]:
    """List the files that are neither images nor text by their endings (an issue each), and images without an ending.

    `paths` are below `raw`. Returns the count of files by ending in lower case, text too; "none" for files without one.
    """
    by_ending: dict[str, list[str]] = {}
    for path in paths:
        by_ending.setdefault(ending_of(path), []).append(path)
    for ending, files in sorted(by_ending.items(), key=lambda item: (not item[0], -len(item[1]))):
        unread = files if ending not in _TEXT else [] if ending else [path for path in files if _is_image(raw / path)]
        if unread:
            what = f"files end in {ending}" if ending else "images have no ending"
            remedy = "they are not read (save images as .png or .jpg, and pack archives as .zip)"
            detail = f"{len(unread):,} {what}, such as {unread[0]}; {remedy}."
            log.add("other_files", "listed", detail, None, unread[0])
    return {ending or "none": number for ending, number in Counter(map(ending_of, paths)).most_common()}


def list_classes_without_images(images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str], log: IssueLog) -> None:
    """List the classes that no usable training image shows, where there are such images."""
    usable = images[(images["status"] == "ok") & (images["subset"] != "test")]
    boxed = boxes.loc[~boxes["ignore"] & boxes["image_id"].isin(usable["image_id"]), "label"]
    shown = {*usable["label"].dropna(), *boxed}
    for name in classes if len(usable) else []:
        if name not in shown:
            log.add("empty_class", "listed", f"No usable training image shows the class '{name}'.")


def check_usable(images: pd.DataFrame, issues: pd.DataFrame, raw: str, listed_in: str) -> None:
    """Raise DataError if no training image can be used; it counts the images by status and gives the first reason.

    Images and issues are tables.IMAGES and ISSUES; `raw` and `listed_in` name their places in the sentence.
    """
    training = images[images["subset"] != "test"]
    if (training["status"] == "ok").any():
        return
    if training.empty:
        count = f"{len(images):,} test images" if len(images) else "none at all"
        raise DataError(f"{raw} has no training images ({count}); name the files of their labels in audit.train.")
    counts = ", ".join(f"{number:,} {status}" for status, number in training["status"].value_counts().items())
    reason = _reason(training, issues, raw)
    raise DataError(f"No training image can be used ({counts}): {reason} All issues are in {listed_in}.")


def _reason(training: pd.DataFrame, issues: pd.DataFrame, raw: str) -> str:
    first = {str(image.status): image for image in training.drop_duplicates("status").itertuples()}
    if "missing" in first:
        named = f"the first that the labels name is '{first['missing'].path}'"
        if "unlabelled" in first:
            path = first["unlabelled"].path
            return f"{named}, the first file that they don't name is '{path}'; make the two agree."
        return f"{named}, but {raw} has no such file; are the pictures unpacked and in download.path?"
    status = str(training["status"].value_counts().idxmax())
    image_id = first[status].image_id
    own = issues[(issues["image_id"] == image_id) & issues["action"].isin(["quarantined", "dropped"])]
    own = own.sort_values("kind", key=lambda kinds: kinds == "unlabelled", kind="stable")  # which gives no reason
    why = str(own["detail"].iloc[0]) if len(own) else f"its status is '{status}'."
    return f"of '{image_id}', the first, it is said: {why}"


def _is_image(path: Path) -> bool:
    with suppress(DataError):
        return bool(image_size(path))
    return False
