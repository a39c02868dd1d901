"""How labels are read, whatever their format."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.data.formats import boxes_csv, coco, image_folder, kitti, label_csv, voc, yolo
from tropho.data.formats.class_map import apply_class_map
from tropho.data.formats.labels import Labels
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
_TABLES = ("boxes_csv", "label_csv")
_WHOLE_IMAGE = {"image_folder", "label_csv"}


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read the labels in `raw` in the settings' format, with class names settled and faults listed.

    Raises:
        UsageError: the format doesn't suit the kind of task, or a setting names what isn't there.
        DataError: the label files are missing or nothing in them can be used.
    """
    form = settings.audit.format
    if (form in _WHOLE_IMAGE) != (settings.kind == "classification"):
        wanted = sorted(_WHOLE_IMAGE) if settings.kind == "classification" else sorted(set(_READERS) - _WHOLE_IMAGE)
        raise UsageError(f"audit.format '{form}' does not suit {settings.kind}; use {' or '.join(wanted)}.")
    if settings.audit.columns and form not in _TABLES:
        raise UsageError(f"audit.columns has no meaning with audit.format '{form}'; it is of {' and '.join(_TABLES)}.")
    if not raw.is_dir():
        raise DataError(f"{raw} is not there; run `tropho download {settings.name}` first.")
    return apply_class_map(_READERS[form](settings, raw), settings.audit)
