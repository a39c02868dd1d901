"""Read labels of any format and apply the class map; one module a format."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.data.formats import boxes_csv, coco, image_folder, kitti, label_csv, voc, yolo
from tropho.data.formats.class_map import apply_class_map
from tropho.data.formats.label_collector import Labels
from tropho.errors import DataError, UsageError

_READERS = {
    "boxes_csv": boxes_csv.read,
    "coco": coco.read,
    "voc": voc.read,
    "yolo": yolo.read,
    "kitti": kitti.read,
    "image_folder": image_folder.read,
    "label_csv": label_csv.read,
}
TABLES = ("boxes_csv", "label_csv")
CLASSIFICATION = {"image_folder", "label_csv"}


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the labels in `raw` in the settings' format, with the class map applied and issues logged.

    Raises:
        UsageError: the format doesn't suit the kind of task, or a setting names what isn't there.
        DataError: the label files are missing or nothing in them can be used.
    """
    return apply_class_map(read_unmapped(settings, raw), settings.audit)


def read_unmapped(settings: TaskConfig, raw: Path) -> Labels:
    """Read the labels in `raw` with the names of the files; raises as `read` does."""
    name = settings.audit.format
    if (name in CLASSIFICATION) != (settings.kind == "classification"):
        wanted = CLASSIFICATION if settings.kind == "classification" else set(_READERS) - CLASSIFICATION
        raise UsageError(f"audit.format '{name}' does not suit {settings.kind}; use {' or '.join(sorted(wanted))}.")
    if settings.audit.columns and name not in TABLES:
        raise UsageError(f"audit.columns has no meaning with audit.format '{name}'; it is of {' and '.join(TABLES)}.")
    if not raw.is_dir():
        raise DataError(f"{raw} is not there; run `tropho download {settings.name}` first.")
    return _READERS[name](settings, raw)
