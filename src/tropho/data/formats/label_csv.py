"""Read tables of labels: one row an image, with columns for the image, its label and, optionally, its subset."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.data.formats.csv_table import find_tables
from tropho.data.formats.label_collector import SUBSETS, LabelCollector, Labels, in_both
from tropho.data.formats.label_table import LabelTable, Row


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read one row an image from the tables of each subset; docs/label_formats.md has the rules."""
    audit, collector = settings.audit, LabelCollector(raw)
    found = find_tables(audit, raw, lambda columns: bool(columns.images and columns.labels))
    tables = [
        LabelTable(raw, path, subset, audit.columns, collector.on_disk, with_boxes=False)
        for subset, paths in found.items()
        for path in paths
    ]
    rows = [row for table in tables for row in table.parse()]
    for row in sorted(rows, key=lambda row: SUBSETS.index(row.subset)):
        _add(collector, row)
    columns = {table.name: table.facts("", "") for table in tables}
    collector.notes += [table.note(columns[table.name]) for table in tables]
    return collector.labels(columns)


def _add(collector: LabelCollector, row: Row) -> None:
    """Add the image of a row; log a row that can't be used, and a second one of the same image."""
    match = collector.on_disk.find(row.image, row.table.folder, row.searched)
    path, label = match.path, row.label or None
    place = {"image_id": row.image and (path or row.image), "file": row.table.name, "row": row.line}
    if row.fault:
        collector.log.add("bad_row", "quarantined", f"{row.fault}.", **place)
    elif match.ambiguous:
        collector.log.add("ambiguous_name", "quarantined", match.detail(row.image), **place)
    elif (entry := collector.images.get(path)) is None:
        status = "ok" if label or row.subset == "test" else "unlabelled"
        new = {"image_id": path, "path": path, "subset": row.subset, "label": label, "status": status}
        collector.images[path] = new
        if status == "unlabelled":
            collector.log.add("bad_row", "quarantined", "The label's cell is empty.", **place)
    elif entry["subset"] != row.subset:
        collector.log.add("in_both_subsets", "dropped", in_both(entry["subset"]), **place)
    elif entry["label"] == label:
        collector.log.add("repeated_row", "dropped", "The image has an equal row above.", **place)
    else:
        detail = f"Labelled '{label or ''}' here and '{entry['label'] or ''}' above; neither is used."
        collector.log.add("label_conflict", "quarantined", detail, **place)
        entry["status"] = "unlabelled"
