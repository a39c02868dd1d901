"""Read a table of labels: one row an image, with columns for the image, its label and, optionally, its subset."""

from pathlib import Path, PurePosixPath

from tropho.config.task_config import TaskConfig
from tropho.data.formats.box_columns import IMAGE, LABEL, columns_named, fixed_columns
from tropho.data.formats.csv_table import find_tables, read_csv
from tropho.data.formats.image_files import SUBSET_WORDS, subset_of
from tropho.data.formats.label_collector import SUBSETS, LabelCollector, Labels, in_both
from tropho.errors import DataError
from tropho.tables import check_columns

ROLES = {
    "image": ("imageid", "image", "file", "filename", "path", "imagepath", "id", *IMAGE),
    "label": ("label", "class", "category", "target", *LABEL),
    "subset": ("subset", "split", "set"),
}
"""Headings as `box_columns.squeeze` leaves them, the likeliest first."""


def read(settings: TaskConfig, raw: Path) -> Labels:
    """Read one row an image from the tables of each subset; docs/label_formats.md has the rules."""
    audit, reader = settings.audit, _Reader(raw)
    found = find_tables(audit, raw, lambda columns: bool(columns.images and columns.labels))
    return reader.labels(
        {str(path): reader.add_table(path, subset, audit.columns) for subset, paths in found.items() for path in paths}
    )


class _Reader(LabelCollector):
    """Read one table after another."""

    def add_table(self, path: PurePosixPath, subset: str, given: dict[str, str]) -> dict[str, str]:
        """Add the images of a table; return its headings by role. Rows are of `subset` unless a column says more."""
        file = str(path)
        table = read_csv(self.raw / path, file)
        header = table.header
        at = _find_columns(header, file, subset, given)
        for line, cells in table.rows[1:]:
            if any(cells[len(header) :]):
                detail = f"{len(cells)} cells under {len(header)} columns."
                self.log.add("bad_row", "quarantined", detail, cells[at["image"]], file, line)
                continue
            row = dict(enumerate(cells))
            name, label, stated = (row.get(at.get(role, -1), "") for role in ROLES)
            row_subset = SUBSET_WORDS.get(stated.lower(), "") if stated else subset
            searched = row_subset if stated or subset != "train" else subset_of(path.stem)
            if not name or not row_subset:
                reason = "The image's cell is empty" if not name else "The subset is neither train, validation nor test"
                self.log.add("bad_row", "quarantined", f"{reason}.", name, file, line)
                continue
            match = self.find_image(name, str(path.parent), searched, file, line)
            if not match.ambiguous:
                self._add(match.path, label or None, row_subset, file, line)
        columns = {role: header[place] for role, place in at.items()}
        self.notes.append(f"Columns of {file}: {', '.join(f'{role} {text!r}' for role, text in columns.items())}.")
        return columns

    def _add(self, image_id: str, label: str | None, subset: str, file: str, line: int) -> None:
        """Add one image; log a second row of the same image."""
        place = {"image_id": image_id, "file": file, "row": line}
        entry = self.images.get(image_id)
        if entry is None:
            entry = {"image_id": image_id, "path": image_id, "subset": subset, "label": label, "status": "ok"}
            self.images[image_id] = entry
            if not label and subset != "test":
                entry["status"] = "unlabelled"
                self.log.add("bad_row", "quarantined", "The label's cell is empty.", **place)
        elif entry["subset"] != subset:
            entry["subset"] = min(entry["subset"], subset, key=SUBSETS.index)
            self.log.add("in_both_subsets", "dropped", in_both(entry["subset"]), **place)
        elif entry["label"] == label:
            self.log.add("repeated_row", "dropped", "The image has an equal row above.", **place)
        else:
            detail = f"Labelled '{label or ''}' here and '{entry['label']}' above; neither is used."
            self.log.add("label_conflict", "quarantined", detail, **place)
            entry["status"] = "unlabelled"


def _find_columns(header: list[str], file: str, subset: str, given: dict[str, str]) -> dict[str, int]:
    """Return the position of each role: image, label (test tables may lack it) and, if there is one, subset."""
    check_columns(header, file)
    at = fixed_columns(header, given, file, strict=subset != "test")
    for role, names in ROLES.items():
        free = {place: heading for place, heading in enumerate(header) if place not in at.values()}
        places = columns_named(free, names)
        if role not in at and places:
            at[role] = places[0]
        elif (role == "image" and role not in at) or (role == "label" and role not in at and subset != "test"):
            headings = f"its headings are {', '.join(header)}" if header else "it is empty"
            raise DataError(
                f"{file} has no column for the {role}, such as '{names[0]}'; {headings}; "
                f"name the right one in audit.columns: {{{role}: ...}}."
            )
    return at
