"""Which tables of a data set hold the labels of which subset, by the names of files and folders."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.data.formats import box_columns
from tropho.data.formats.csv_table import read_csv
from tropho.data.formats.image_files import subset_of
from tropho.data.formats.labels import VALIDATION, named_files
from tropho.errors import DataError
from tropho.images.file_types import is_hidden


def find_tables(settings: TaskConfig, raw: Path) -> dict[str, list[Path]]:
    """Find the box tables of each subset: {"test": [...], "validation": [...], "train": [...]}.

    Those that `audit.train` and `audit.test` name; of the others train.csv, val.csv and test.csv nearest the top.
    Without a train.csv, tables of boxes count whose name or folder speaks of a subset (test_labels.csv,
    valid/_annotations.csv); a single one of another name is train.

    Raises:
        UsageError: a file that the settings name is not there.
        DataError: no table for training is found, or it can't be told which one is meant.
    """
    audit = settings.audit
    tables = {
        "test": named_files(raw, audit.test, {"test.csv"}, "audit.test"),
        "validation": named_files(raw, None, {f"{name}.csv" for name in VALIDATION}, "audit.train"),
        "train": named_files(raw, audit.train, {"train.csv"}, "audit.train"),
    }
    if audit.train is not None:
        tables["validation"] = [path for path in tables["train"] if _subset(path, raw) == "validation"]
        tables["train"] = [path for path in tables["train"] if path not in tables["validation"]]
        return tables
    if tables["train"]:
        return tables
    return _by_words(settings, raw, tables["test"])


def _by_words(settings: TaskConfig, raw: Path, tests: list[Path]) -> dict[str, list[Path]]:
    tables: dict[str, list[Path]] = {"test": [], "validation": [], "train": [], "": []}
    for path in _all_tables(raw):
        if path not in tests:
            tables[_subset(path, raw)].append(path)
    every = [path for paths in tables.values() for path in paths]
    if len(every) > 1:
        tables = {subset: [path for path in paths if _holds_boxes(path, settings)] for subset, paths in tables.items()}
    others = tables.pop("")
    tables["test"] = tests or ([] if settings.audit.test is not None else tables["test"])
    if not tables["train"] and len(others) == 1:
        tables["train"] = others
    if not tables["train"] and not tables["validation"]:
        which = ", ".join(path.relative_to(raw).as_posix() for path in every if path not in tables["test"])
        remedy = f"name the table of boxes in audit.train (tables: {which})" if which else "place it there"
        raise DataError(f"There is no Train.csv in {raw}; {remedy}.")
    return tables


def _all_tables(raw: Path) -> list[Path]:
    """Tables below `raw`, sorted, without hidden ones and sample submissions."""
    found = sorted(path for path in raw.rglob("*") if path.suffix.lower() in {".csv", ".tsv"} and path.is_file())
    return [
        path
        for path in found
        if not any(map(is_hidden, path.relative_to(raw).parts))
        and not any(word in path.name.lower() for word in ("sample", "submission"))
    ]


def _subset(path: Path, raw: Path) -> str:
    """The subset that the file's name, or else a folder of it, the nearest first, speaks of; "" if none does."""
    relative = path.relative_to(raw)
    words = [relative.stem, *reversed(relative.parent.parts)]
    return next(filter(None, map(subset_of, words)), "")


def _holds_boxes(path: Path, settings: TaskConfig) -> bool:
    """Whether the table has columns for an image and a box."""
    try:
        first = next(iter(read_csv(path, path.name).rows), (0, []))[1]
        header = box_columns.implied_header(first) or first
        columns = box_columns.recognise(header, settings.audit.columns, path.name, strict=False)
    except DataError:
        return False
    return bool(columns.images and columns.layout)
