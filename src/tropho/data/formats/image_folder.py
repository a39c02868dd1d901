"""Read a folder a class: train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png alone."""

from collections import Counter
from pathlib import Path, PurePosixPath

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import subset_of
from tropho.data.formats.label_collector import SUBSETS, VALIDATION, LabelCollector, Labels
from tropho.errors import DataError
from tropho.images.file_types import ending_of

USUAL = {"test": {"test", "testing"}, "validation": VALIDATION, "train": {"train", "training"}}
NAMES = {name for names in USUAL.values() for name in names}


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read labels from folder names; docs/label_formats.md has the rules."""
    collector = LabelCollector(raw)
    on_disk = collector.on_disk
    if not on_disk.paths:
        endings = Counter(ending_of(path) or "no ending" for path in on_disk.left_aside).most_common(5)
        counts = ", ".join(f"{count:,} with {ending}" for ending, count in endings)
        held = f"; its files are {counts}, none of them an image" if counts else ""
        raise DataError(f"There are no images in {raw}{held}.")
    folders = _subset_folders(settings, collector)
    for path in on_disk.paths:
        folder = next((prefix for prefix in folders if path.startswith(prefix)), None)
        if folder is None:  # audit lists it as belonging to no subset
            continue
        parts = PurePosixPath(path.removeprefix(folder)).parts
        if parts[0].lower() in USUAL[folders[folder]] and len(parts) > 2:  # train/train/CLASS
            parts = parts[1:]
        label = parts[0] if len(parts) > 1 else None
        entry = collector.add_image(path, path, folders[folder], label=label)
        if entry and not label and folders[folder] != "test":
            collector.mark_unlabelled(entry, "It is in no class folder.", file=path)
    _log_empty_folders(collector, folders)
    if not any(entry["label"] and entry["subset"] != "test" for entry in collector.images.values()):
        raise DataError(f"{raw} holds no class folders with training images; see audit.train.")
    return collector.labels()


def _log_empty_folders(collector: LabelCollector, subsets: dict[str, str]) -> None:
    """Log class folders without an image, so that no class is lost unseen."""
    on_disk = collector.on_disk
    for prefix in subsets:
        below = [f"{folder}/" for folder in on_disk.folders if f"{folder}/".startswith(prefix)]
        for folder in below:
            is_class = folder.count("/") == prefix.count("/") + 1 and folder not in subsets
            if not is_class or any(path.startswith(folder) for path in on_disk.paths):
                continue
            n_others = sum(path.startswith(folder) for path in on_disk.left_aside)
            held = f"none of its {n_others:,} files ends as an image's does" if n_others else "it holds no files"
            name = folder.rstrip("/")
            collector.log.add("empty_class", "listed", f"The class folder {name} has no image: {held}.", None, name)


def _subset_folders(settings: TaskConfig, collector: LabelCollector) -> dict[str, str]:
    """Map prefixes of paths to subsets; the prefix "" stands for everything."""
    top, names = _top_folder(collector.on_disk.paths)
    train, test = settings.audit.train, settings.audit.test
    folders = {}
    for key, entries in (("test", test), ("train", train)):
        for path in (collector.find_entry(f"audit.{key}", entry) for entry in entries or []):
            is_validation = key == "train" and subset_of(PurePosixPath(path).name) == "validation"
            folders["" if path == "." else f"{path}/"] = "validation" if is_validation else key
    for subset, usual in USUAL.items():
        if (test if subset == "test" else train) is None:
            folders.update({f"{top}{name}/": subset for name in sorted(names) if name.lower() in usual})
    folders = dict(sorted(folders.items(), key=lambda item: SUBSETS.index(item[1])))  # the first that fits counts
    if not {"train", "validation"} & set(folders.values()):
        if folders:
            raise DataError("There is a test folder but no training folder; name it in audit.train.")
        folders[top] = "train"
    return folders


def _top_folder(paths: list[str]) -> tuple[str, set[str]]:
    """Return the folder below which the tree branches (as a prefix), and the names of the folders in it."""
    top = ""
    while True:
        below = [path.removeprefix(top).split("/") for path in paths]
        names = {parts[0] for parts in below if len(parts) > 1}
        name = next(iter(names)) if len(names) == 1 else None
        deeper = any(len(parts) > 2 for parts in below)  # loose images beside class folders have no class
        if name is None or not deeper or name.lower() in NAMES:
            return top, names
        top += f"{name}/"
