"""Guess how the labels of a folder are written, by reading them in every format that its files may have."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.load import task_settings
from tropho.config.task_config import SECTIONS, TaskConfig
from tropho.data.formats.class_map import apply_class_map
from tropho.data.formats.csv_table import read_csv
from tropho.data.formats.image_files import ImageFiles, subset_of
from tropho.data.formats.label_collector import Labels, files_below
from tropho.data.formats.readers import CLASSIFICATION, TABLES, read_unmapped
from tropho.errors import DataError, TrophoError, UsageError
from tropho.submission.sample_file import is_sample
from tropho.tables import BOX

DETECTION_ENDINGS = {
    "coco": (".json",),
    "voc": (".xml",),
    "yolo": (".txt",),
    "kitti": (".txt",),
    "boxes_csv": (".csv", ".tsv"),
}
"""Formats of boxes by the endings of their label files, the least ambiguous first."""
CLASS_ENDINGS = {"label_csv": (".csv", ".tsv"), "image_folder": ()}
MAX_CLASSES = 1000
MAX_TABLE_CLASSES = 100
"""Of a table whose headings are not recognised."""
SAMPLE_ROWS = 300
MIN_IMAGES = 0.8
"""Share of the cells of the image's column that name an image file."""
MIN_SHARE = 0.5
"""Of the training images; fewer labelled ones say that a table is about something else."""


@dataclass(frozen=True)
class LabelGuess:
    """What the labels of a folder are.

    Attributes:
        kind: detection | classification.
        audit: settings of the section `audit` that are needed to read them, `format` first.
        labels: as the audit would read them.
    """

    kind: str
    audit: dict[str, Any]
    labels: Labels

    @property
    def train(self) -> pd.DataFrame:
        """Images to train on: LABELLED_IMAGES of the published training and validation part with known labels."""
        images = self.labels.images
        return images[(images["subset"] != "test") & (images["status"] == "ok")]

    @property
    def counts(self) -> "Counter[str]":
        """Boxes, or training images, of each class."""
        table = self.labels.boxes if self.kind == "detection" else self.train
        return Counter(table["label"].dropna().astype(str))


@dataclass
class _Trial:
    """Formats that were tried on a folder, and why they did not fit."""

    params: dict[str, Any]
    raw: Path
    endings: frozenset[str]
    faults: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, **audit: Any) -> LabelGuess | None:
        """Read the labels in a format; None, with the fault noted, where that fails."""
        kind = "classification" if name in CLASSIFICATION else "detection"
        audit = {"format": name, **audit}
        entry = {"kind": kind, "download": {"source": "local", "path": str(self.raw)}, "audit": audit}
        entry |= {"model": {"name": "fcos"}} if kind == "detection" else {}
        try:
            labels = read_unmapped(validated("new", entry, self.params), self.raw)
            if negative := _negative_class(labels):
                audit["negative"] = negative
            return LabelGuess(kind, audit, apply_class_map(labels, validated("new", entry, self.params).audit))
        except TrophoError as error:
            self.faults[name] = str(error).replace(f"{self.raw}", "the folder").rstrip(".")
            return None

    def candidates(self, formats: dict[str, tuple[str, ...]]) -> list[LabelGuess]:
        """Read every format of which the folder has files."""
        found = []
        for name, endings in formats.items():
            if endings and not self.endings & set(endings):
                continue
            guess = self.read(name)
            if guess is None and name in TABLES:
                columns, why = guess_columns(self.raw)
                guess = self.read(name, **columns) if columns else None
                if why and name in CLASSIFICATION:
                    self.faults[name] = why
            if guess:
                found.append(guess)
        return found


def validated(name: str, entry: dict[str, Any], params: dict[str, Any]) -> TaskConfig:
    """Validate an entry that is not in params.yaml; sections that it lacks are empty."""
    whole = {"presets": {}, **{section: {} for section in SECTIONS}, **entry}
    return task_settings(name, {**params, "tasks": {name: whole}})


def guess_labels(raw: Path, params: dict[str, Any], only: str | None = None) -> LabelGuess:
    """Guess format, kind, columns and negative class.

    Boxes count more than classes, and a table of labels more than the names of folders, if it covers the images.

    Args:
        raw: folder of the data set.
        params: content of params.yaml, for the defaults.
        only: the one format to try; None tries all.

    Raises:
        DataError: no format fits; the sentence says why the likeliest ones don't.
        UsageError: `only` is not a format.
    """
    endings = frozenset(path.suffix.lower() for path in files_below(raw))
    trial = _Trial(params, raw, endings)
    known = {**DETECTION_ENDINGS, **CLASS_ENDINGS}
    if only is not None:
        if only not in known:
            raise UsageError(f"--format '{only}' is not a format; known are {', '.join(known)}.")
        found = trial.candidates({only: ()})
        if not found:
            raise DataError(f"The labels can't be read as {only}: {trial.faults[only]}.")
        return found[0]
    boxed = [guess for guess in trial.candidates(DETECTION_ENDINGS) if len(guess.labels.boxes)]
    if boxed:
        return max(boxed, key=lambda guess: guess.labels.boxes["image_id"].nunique())
    classed = trial.candidates(CLASS_ENDINGS)
    n_images = len(ImageFiles(raw).paths)
    if n_images and not classed and set(trial.faults) == {"image_folder"}:
        raise DataError(
            f"No labels are there for the images in {raw} ({n_images:,}): put those of each class into a folder of its "
            "own, or add a table or files of labels (docs/label_formats.md)."
        )
    for guess in classed:
        if _is_plausible(guess):
            return guess
        counts = guess.counts
        fault = f"it has {len(counts):,} classes for {counts.total():,} training images"
        trial.faults[guess.audit["format"]] = fault
    reasons = "; ".join(f"{name}: {fault}" for name, fault in trial.faults.items())
    raise DataError(
        f"No labels are recognised in {raw} ({reasons}); docs/label_formats.md says how files must lie, and "
        "`--format` tries one format alone."
    )


def _is_plausible(guess: LabelGuess) -> bool:
    """Whether the labels of a classification are few classes of most images, and not a name for each image."""
    n_classes, n_labelled = len(guess.counts), sum(guess.counts.values())
    n_train = int((guess.labels.images["subset"] != "test").sum())
    return 2 <= n_classes <= min(MAX_CLASSES, max(2, n_labelled // 2)) and n_labelled >= MIN_SHARE * n_train


def _negative_class(labels: Labels) -> str | None:
    """Find the one class whose rows have no box, or a box of zeros; None if there is none beside others with boxes."""
    if labels.boxes.empty:
        return None
    corners = labels.boxes[BOX]
    without = corners.isna().any(axis=1) | (corners == 0).all(axis=1)
    share = without.groupby(labels.boxes["label"]).mean()
    names = [str(name) for name in share.index[share == 1]]
    return names[0] if len(names) == 1 and (share < 1).any() else None


def guess_columns(raw: Path) -> tuple[dict[str, Any] | None, str]:
    """Find the table whose cells name images and classes.

    Returns: settings of the section `audit`: columns and train, and test if another table of the same headings is named
        for it; None where no table, or more than one column, may hold the class. Then why the first table doesn't tell.
    """
    on_disk, why = ImageFiles(raw), ""
    found: dict[str, dict[str, str]] = {}
    for path in files_below(raw, ".csv", ".tsv"):
        cells = {} if is_sample(path.name) else _cells(raw / path, str(path))
        images = [heading for heading, values in cells.items() if _names_images(values, on_disk)]
        classes = [heading for heading, values in cells.items() if heading not in images and _names_classes(values)]
        if images and len(classes) == 1:
            found[str(path)] = {"image": images[0], "label": classes[0]}
        elif images:
            why = why or f"{path} names images in '{images[0]}', but no column, or more than one, may hold the class"
        elif cells:
            first = ", ".join(f"{heading} '{values[0]}'" for heading, values in cells.items())
            example = f" (such as '{min(on_disk.paths)}')" if on_disk.paths else ""
            why = why or f"no column of {path} names the images of the folder{example}; its first row is {first}"
    train = [name for name in found if subset_of(Path(name).stem) != "test"]
    if len(train) != 1:
        return None, why
    tests = [name for name in found if name not in train and found[name] == found[train[0]]]
    return {"columns": found[train[0]], "train": train, **({"test": tests} if tests else {})}, ""


def _cells(path: Path, name: str) -> dict[str, tuple[str, ...]]:
    """Return the cells of the first rows of a table by heading; {} where it can't be read or has only one row."""
    try:
        header, *body = [cells for _, cells in read_csv(path, name).rows[: SAMPLE_ROWS + 1]]
    except (DataError, ValueError):  # ValueError: it has no row
        return {}
    body = [cells for cells in body if len(cells) == len(header)]
    return dict(zip(header, zip(*body, strict=True), strict=True)) if len(body) > 1 else {}


def _names_images(values: tuple[str, ...], on_disk: ImageFiles) -> bool:
    found = sum(bool(value) and on_disk.find(value).found for value in values)
    return found >= MIN_IMAGES * len(values)


def _names_classes(values: tuple[str, ...]) -> bool:
    """Whether the values repeat, are few, and no fractions."""
    different = {value for value in values if value}
    return 2 <= len(different) <= min(MAX_TABLE_CLASSES, len(values) // 2) and not any(
        "." in value for value in different
    )
