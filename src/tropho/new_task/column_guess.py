"""Guess the columns of a table of labels from its cells, where its headings are not recognised."""

from pathlib import Path
from typing import Any

from tropho.data.formats.csv_table import read_csv
from tropho.data.formats.image_files import ImageFiles, subset_of
from tropho.data.formats.labels import files_below
from tropho.errors import DataError
from tropho.submission.sample_file import is_sample

SAMPLE_ROWS = 300
MIN_IMAGES = 0.8
"""Share of the cells of the image's column that name an image file."""
MAX_CLASSES = 100


def explain_columns(raw: Path) -> str:
    """Say why the cells of the first table don't tell its columns; "" without a table of two rows."""
    on_disk = ImageFiles(raw)
    for path in files_below(raw, ".csv", ".tsv"):
        cells = {} if is_sample(path.name) else _cells(raw / path, str(path))
        images = [heading for heading, values in cells.items() if _names_images(values, on_disk)]
        if images:
            return f"{path} names images in '{images[0]}', but no column, or more than one, may hold the class"
        if cells:
            first = ", ".join(f"{heading} '{values[0]}'" for heading, values in cells.items())
            example = f" (such as '{min(on_disk.paths)}')" if on_disk.paths else ""
            return f"no column of {path} names the images of the folder{example}; its first row is {first}"
    return ""


def guess_columns(raw: Path) -> dict[str, Any] | None:
    """Find the table whose cells name images and classes.

    Returns: settings of the section `audit`: columns and train, and test if another table of the same headings is named
        for it; None where no table, or more than one column, may hold the class.
    """
    on_disk = ImageFiles(raw)
    found: dict[str, dict[str, str]] = {}
    for path in files_below(raw, ".csv", ".tsv"):
        if not is_sample(path.name) and (columns := _columns(raw / path, str(path), on_disk)):
            found[str(path)] = columns
    train = [name for name in found if subset_of(Path(name).stem) != "test"]
    if len(train) != 1:
        return None
    tests = [name for name in found if name not in train and found[name] == found[train[0]]]
    return {"columns": found[train[0]], "train": train, **({"test": tests} if tests else {})}


def _cells(path: Path, name: str) -> dict[str, tuple[str, ...]]:
    """Return the cells of the first rows of a table by heading; {} where it can't be read or has only one row."""
    try:
        rows = [cells for _, cells in read_csv(path, name).rows[: SAMPLE_ROWS + 1]]
    except DataError:
        return {}
    if len(rows) < 3:
        return {}
    header, body = rows[0], [cells for cells in rows[1:] if len(cells) == len(rows[0])]
    return dict(zip(header, zip(*body, strict=True), strict=True)) if body else {}


def _columns(path: Path, name: str, on_disk: ImageFiles) -> dict[str, str] | None:
    cells = _cells(path, name)
    images = [heading for heading, values in cells.items() if _names_images(values, on_disk)]
    classes = [heading for heading, values in cells.items() if heading not in images and _names_classes(values)]
    return {"image": images[0], "label": classes[0]} if images and len(classes) == 1 else None


def _names_images(values: tuple[str, ...], on_disk: ImageFiles) -> bool:
    found = sum(bool(value) and on_disk.find(value).found for value in values)
    return found >= MIN_IMAGES * len(values)


def _names_classes(values: tuple[str, ...]) -> bool:
    """Whether the values repeat, are few, and no fractions."""
    different = {value for value in values if value}
    return 2 <= len(different) <= min(MAX_CLASSES, len(values) // 2) and not any("." in value for value in different)
