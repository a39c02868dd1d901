"""Read KITTI: label_2/*.txt, 15 columns a row: type truncated occluded alpha left top right bottom and seven of 3D."""

import math
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.formats.image_files import ImageFiles, subset_of_path, unique_ids
from tropho.data.formats.label_collector import SUBSETS, LabelCollector, Labels, files_below, named_folders
from tropho.errors import DataError
from tropho.tables import BOX, parse_number

LABEL_FOLDERS = frozenset({"label_2", "label_02", "labels", "label"})
IGNORED = "DontCare"  # the type of regions that are neither labelled nor to be scored


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read label files and the images beside them; docs/label_formats.md has the rules."""
    collector = LabelCollector(raw)
    files = _label_files(collector)
    subsets = _subsets(settings, collector.on_disk)
    ids = unique_ids(subsets)
    labelled = {subset for path, subset in subsets.items() if path in files}
    if not labelled & {"train", "validation"}:
        raise DataError(f"{raw} holds no label_2/*.txt that belongs to a training image.")
    for path, subset in subsets.items():
        entry = collector.add_image(ids[path], path, subset) or {}
        if path in files:
            collector.add_text_rows(entry, files[path], _parse_row)
        elif subset != "test" or subset in labelled:
            collector.mark_unlabelled(entry, "It has no label file of its own.", "no_label_file", path)
    return collector.labels()


def _subsets(settings: TaskConfig, on_disk: ImageFiles) -> dict[str, str]:
    """Map image paths to subsets; images in none of the folders that the settings name are left out."""
    given = {"train": settings.audit.train, "test": settings.audit.test}
    prefixes = named_folders(settings, on_disk)
    by_folder = {path: subset_of_path(path) for path in on_disk.paths}
    default = "" if "train" in by_folder.values() else "train"
    subsets = {}
    for path, subset in by_folder.items():
        named = next((value for prefix, value in prefixes.items() if path.startswith(prefix)), "")
        if not named and given.get(subset or default) is None and not (given["train"] and subset != "test"):
            named = subset or default
        if named:
            subsets[path] = named
    return dict(sorted(subsets.items(), key=lambda item: SUBSETS.index(item[1])))


def _label_files(collector: LabelCollector) -> dict[str, str]:
    """Map image paths to label files; a label file belongs to the image that fits its name best."""
    files: dict[str, str] = {}
    for path in files_below(collector.raw, ".txt"):
        text = str(path)
        if path.parent.name.lower() not in LABEL_FOLDERS:
            continue
        match = collector.find_image(path.stem, str(path.parent), subset_of_path(text), text)
        if not match.candidates:
            collector.log.add("no_image_file", "quarantined", "No image belongs to this label file.", None, text)
        elif match.found and files.setdefault(match.path, text) != text:
            raise DataError(f"{files[match.path]} and {text} are both labels of {match.path}; remove one of them.")
    return files


def _parse_row(cells: list[str]) -> dict[str, Any]:
    """Parse one row into class, corners in pixels and `ignore`; raise ValueError with the reason."""
    if len(cells) not in {15, 16}:  # a sixteenth is the confidence of a prediction
        raise ValueError(f"{len(cells)} columns in place of KITTI's 15")
    values = [parse_number(cell) for cell in cells[4:8]]
    if any(map(math.isnan, values)):
        raise ValueError(f"The box is '{' '.join(cells[4:8])}', not four numbers")
    return {"label": cells[0], **dict(zip(BOX, values, strict=True)), "ignore": cells[0].lower() == IGNORED.lower()}
