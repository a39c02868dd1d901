"""A folder a class: train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png alone."""

from collections import Counter
from pathlib import Path, PurePosixPath

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import ImageFiles, same_path
from tropho.data.formats.labels import LABELLED_BOXES, LABELLED_IMAGES, VALIDATION, IssueLog, Labels, nearest, table_of
from tropho.errors import DataError, UsageError
from tropho.images.file_types import ending_of

USUAL = {"test": {"test", "testing"}, "validation": VALIDATION, "train": {"train", "training"}}
NAMES = {name for names in USUAL.values() for name in names}


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Labels from folder names; an image's id is its path below `raw`.

    `audit.train` and `audit.test` name the folders that hold the class folders. By default these are `train`
    or `training` with `val`, `valid` or `validation` beside it, and `test` or `testing`, in any case; where
    there are none, the class folders themselves, all for training. Images of a training folder called `val`,
    `valid` or `validation` are the published validation set. A folder with no other beside it is entered if
    it holds folders; images that lie loose there are unlabelled. Test images without a class folder are
    unlabelled test images.

    Raises:
        UsageError: a folder that the settings name is not there.
        DataError: there are no class folders with images.
    """
    on_disk, log = ImageFiles(raw), IssueLog()
    if not on_disk.paths:
        endings = Counter(ending_of(path) or "no ending" for path in on_disk.left_aside).most_common(5)
        held = ", ".join(f"{count:,} with {ending}" for ending, count in endings)
        raise DataError(f"There are no images in {raw}{f'; its files are {held}, none of them an image' * bool(held)}.")
    folders = _subset_folders(settings, on_disk)
    rows = []
    for path in on_disk.paths:
        subset, folder = next(
            ((subset, folder) for folder, subset in folders.items() if path.startswith(folder)), ("", "")
        )
        below = PurePosixPath(path.removeprefix(folder)).parts
        if not subset:  # audit lists it as belonging to no subset
            continue
        label = below[0] if len(below) > 1 else None
        status = "ok" if label or subset == "test" else "unlabelled"
        if status == "unlabelled":
            log.add("unlabelled", "quarantined", "It is in no class folder.", path, path)
        rows.append({"image_id": path, "path": path, "subset": subset, "label": label, "status": status})
    _list_empty_folders(on_disk, folders, log)
    if not any(row["label"] and row["subset"] != "test" for row in rows):
        raise DataError(f"{raw} holds no class folders with training images; see audit.train.")
    return Labels(table_of(rows, LABELLED_IMAGES), table_of([], LABELLED_BOXES), log.table(), [])


def _list_empty_folders(on_disk: ImageFiles, subsets: dict[str, str], log: IssueLog) -> None:
    """List class folders without an image, so that no class is lost in silence."""
    for prefix in subsets:
        own = [f"{folder}/" for folder in on_disk.folders if f"{folder}/".startswith(prefix)]
        for folder in (each for each in own if each.count("/") == prefix.count("/") + 1 and each not in subsets):
            if any(path.startswith(folder) for path in on_disk.paths):
                continue
            others = sum(path.startswith(folder) for path in on_disk.left_aside)
            held = f"none of its {others:,} files ends as an image's does" if others else "it holds no files"
            detail = f"The class folder {folder.rstrip('/')} has no image: {held}."
            log.add("empty_class", "listed", detail, None, folder.rstrip("/"))


def _subset_folders(settings: TaskConfig, on_disk: ImageFiles) -> dict[str, str]:
    """Prefixes of paths -> subset; the prefix "" stands for everything."""
    top, names = _top(on_disk.paths)
    train = settings.audit.train
    given = {"test": settings.audit.test, "validation": None if train is None else [], "train": train}
    folders = {}
    for subset, usual in USUAL.items():
        chosen = given[subset]
        if chosen is None:
            folders.update({f"{top}{name}/": subset for name in sorted(names) if name.lower() in usual})
            continue
        for name in chosen:
            spelled = same_path(name.strip("/"), on_disk.folders)
            prefix = f"{spelled[0] if len(spelled) == 1 else name.strip('/')}/"
            if not any(path.startswith(prefix) for path in on_disk.paths):
                raise UsageError(f"audit.{subset}: no images in a folder '{name}'{nearest(name, names)}.")
            held_back = subset == "train" and PurePosixPath(prefix).name.lower() in VALIDATION
            folders[prefix] = "validation" if held_back else subset
    if not {"train", "validation"} & set(folders.values()):
        if folders:
            raise DataError("There is a test folder but no training folder; name it in audit.train.")
        folders[top] = "train"
    return folders


def _top(paths: list[str]) -> tuple[str, set[str]]:
    """The folder below which the tree branches (as a prefix), and the names of the folders in it."""
    top = ""
    while True:
        below = [path.removeprefix(top).split("/") for path in paths]
        names = {parts[0] for parts in below if len(parts) > 1}
        only = next(iter(names)) if len(names) == 1 else None
        deeper = any(len(parts) > 2 for parts in below)  # loose images beside class folders have no class
        if only is None or not deeper or only.lower() in NAMES:
            return top, names
        top += f"{only}/"
