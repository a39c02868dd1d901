"""Subsets that the names of folders alone tell."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from tropho.data.formats.image_files import ImageFiles, subset_of, unique_ids


def subset_of_path(path: str) -> str:
    """The subset that a folder of a path speaks of, the nearest to the file first; "" if none does."""
    return next(filter(None, map(subset_of, reversed(PurePosixPath(path).parent.parts))), "")


def unnamed_test_images(on_disk: ImageFiles, named: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Images in folders called test, for data sets whose label files speak of no test images.

    Args:
        on_disk: the image files.
        named: paths of the images that label files speak of; they are left out.

    Returns: rows of labels.LABELLED_IMAGES, and a sentence for the user if there are any.
    """
    known = set(named)
    paths = [path for path in on_disk.paths if path not in known and subset_of_path(path) == "test"]
    ids = unique_ids([*known, *paths])
    rows = [{"image_id": ids[path], "path": path, "subset": "test", "status": "ok"} for path in paths]
    note = f"No label file names test images; {len(paths):,} in a folder called test are the test set."
    return rows, [note] if paths else []
