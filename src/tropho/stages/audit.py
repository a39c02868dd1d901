"""Audit: read labels of any format into clean tables, and list what is wrong."""

from pathlib import Path
from typing import Any

from tropho import tables
from tropho.config.task_config import TaskConfig
from tropho.data.audit.run_audit import AuditResult, audit, figures
from tropho.data.audit.unused_data import check_usable
from tropho.files import atomic_folder, write_json
from tropho.log import info
from tropho.paths import Paths

MAX_LISTED_CLASSES = 12


def run(settings: TaskConfig, root: Path) -> AuditResult:
    """Audit data/raw/TASK; write tables, summary and figures to data/audit/TASK, and print the notes.

    Raises:
        UsageError, DataError: as `audit`; also, once all is written, if no training image can be used.
    """
    paths = Paths(root, settings.name)
    result = audit(settings, paths.raw, root)
    with atomic_folder(paths.audit) as folder:
        tables.write_table(result.images, folder / "images.csv", tables.IMAGES)
        tables.write_table(result.boxes, folder / "boxes.csv", tables.BOXES)
        tables.write_table(result.issues, folder / "issues.csv", tables.ISSUES)
        write_json(folder / "summary.json", result.summary)
        figures(result, paths.raw, folder / "figures")
    for note in [describe_labels(result.summary, settings), *result.summary["notes"]]:
        info(note)
    if len(result.issues):
        info(f"Each of the {len(result.issues):,} issues is listed in {paths.audit / 'issues.csv'}.")
    listed_in = str((paths.audit / "issues.csv").relative_to(root))
    check_usable(result.images, result.issues, str(paths.raw.relative_to(root)), listed_in)
    return result


def describe_labels(summary: dict[str, Any], settings: TaskConfig) -> str:
    """Say what was read: format, images by subset, boxes, images or boxes by class, and groups."""
    is_detection, unit = settings.kind == "detection", "boxes" if settings.kind == "detection" else "images"
    classes, subsets = summary["classes"], summary["subsets"]
    shown = {
        name: sum(subset["classes"][name][unit] for subset in subsets.values()) for name in classes[:MAX_LISTED_CLASSES]
    }
    more = ", ..." if len(classes) > len(shown) else ""
    images = ", ".join(f"{subset['images']:,} {name}" for name, subset in subsets.items())
    boxes = f", {summary['boxes']:,} boxes" if is_detection else ""
    n_classes = "1 class" if len(classes) == 1 else f"{len(classes):,} classes"
    by_class = ", ".join(f"{name} ({count:,} {unit})" for name, count in shown.items())
    return (
        f"Read as {settings.audit.format}: {images} images{boxes}; {n_classes}: {by_class}{more}; "
        f"{summary['groups']['count']:,} groups of images that stay together."
    )
