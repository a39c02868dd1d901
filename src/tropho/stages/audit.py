"""Audit: read labels of any format into clean tables, and list what is wrong."""

from pathlib import Path

from tropho import tables
from tropho.config.task_config import TaskConfig
from tropho.data.audit.run_audit import AuditResult, audit, figures
from tropho.data.audit.unused_data import check_usable
from tropho.files import atomic_folder, write_json
from tropho.log import info
from tropho.paths import Paths


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
    for note in result.summary["notes"]:
        info(note)
    if len(result.issues):
        info(f"Each of the {len(result.issues):,} issues is listed in {paths.audit / 'issues.csv'}.")
    listed_in = str((paths.audit / "issues.csv").relative_to(root))
    check_usable(result.images, result.issues, str(paths.raw.relative_to(root)), listed_in)
    return result
