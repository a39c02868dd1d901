"""Predict many uploaded photos once, and show them at any confidence; nothing of the files but their pixels is kept."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.app.viewer import without_place
from tropho.commands.describe_predictions import PICTURE_WIDTH, density_of
from tropho.commands.load_model import LoadedModel
from tropho.commands.predict_images import (
    PredictOptions,
    describe_image,
    draw_image,
    picture_names,
    predict_file,
    shown_part,
    write_tables,
)
from tropho.errors import DataError
from tropho.images.decode import read_image
from tropho.images.draw import enlarged, write_png
from tropho.log import track
from tropho.tables import BOX, read_csv

SHOWN = "shown-"
"""How the names of folders begin that hold the results at one choice of thresholds."""


@dataclass(frozen=True)
class Batch:
    """Predicted photos, by name.

    Attributes:
        folder: of the pixels and results.
        found: post-processed predictions of each photo, boxes in pixels of the original; None for one that can't be
            read.
        factors: size of the kept pixels relative to the original.
        reasons: why a photo can't be read.
    """

    folder: Path
    found: dict[str, pd.DataFrame | None] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def pixels(self, name: str) -> Path:
        """Return the file of a photo's pixels, at most PICTURE_WIDTH[1] wide."""
        return self.folder / f"{list(self.found).index(name)}.png"


@dataclass(frozen=True)
class Results:
    """What is shown of a batch: a summary, rows of a photo and its finding, drawn pictures and files to download."""

    summary: str
    rows: list[list[str]]
    pictures: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def name_photos(files: list[Path]) -> dict[str, Path]:
    """Index files by name; of equal names the second becomes "a (2).jpg"."""
    named, seen = {}, Counter[str]()
    for file in dict.fromkeys(files):
        seen[file.name] += 1
        number = seen[file.name]
        named[file.name if number == 1 else f"{file.stem} ({number}){file.suffix}"] = file
    return named


def predict_batch(model: LoadedModel, files: dict[str, Path], place: Path) -> Batch:
    """Predict photos by name, and keep their pixels in a new folder of `place`."""
    batch = Batch(Path(tempfile.mkdtemp(prefix="batch-", dir=place)))
    for name, file in track(list(files.items()), "Predicting"):
        try:
            batch.found[name] = predict_file(model, file, name)
            image = read_image(file, decoding=model.ensemble.decoding)
        except DataError as error:
            batch.found[name] = None
            batch.reasons[name] = without_place(error, file, name)
            continue
        picture, batch.factors[name] = enlarged(image, int(np.clip(image.shape[1], *PICTURE_WIDTH)))
        write_png(batch.pixels(name), picture)
    return batch


def remove_batch(batch: Batch | None) -> None:
    """Delete what is kept of a batch."""
    if batch is not None:
        shutil.rmtree(batch.folder, ignore_errors=True)


def show_batch(model: LoadedModel, batch: Batch, threshold: str) -> Results:
    """Write tables and pictures of a batch, in place of those shown before.

    Args:
        model: predicted it.
        batch: at least one photo.
        threshold: "best" or a number; see `LoadedModel.thresholds`.
    """
    for before in batch.folder.glob(f"{SHOWN}*"):
        shutil.rmtree(before, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=SHOWN, dir=batch.folder))  # a new address, since browsers keep pictures
    thresholds, is_detection = model.thresholds(threshold), model.settings.kind == "detection"
    tables = {name: table for name, table in batch.found.items() if table is not None}
    pictures = picture_names(list(tables))
    rows = []
    for name, table in batch.found.items():
        if table is None:
            rows.append([name, batch.reasons[name]])
            continue
        shown = shown_part(model, table, thresholds)
        line = describe_image(model, shown, thresholds)
        rows.append([name, line])
        scaled = shown.assign(**{side: shown[side] * batch.factors[name] for side in BOX}) if is_detection else shown
        drawn = draw_image(model, read_image(batch.pixels(name)), scaled, f"{name}: {line}")
        write_png(folder / "pictures" / pictures[name], drawn)
    summary = f"{len(tables)} of {len(batch.found)} images predicted."
    if not tables:
        return Results(summary, rows)
    out = folder / "predictions.csv"
    write_tables(model, tables, thresholds, PredictOptions(out, counts=is_detection, threshold=threshold))
    files = [out, Path(shutil.make_archive(str(folder / "pictures"), "zip", folder / "pictures"))]
    if is_detection:
        files.insert(1, folder / "predictions_counts.csv")
        summary += _totals(model, files[1])
    return Results(summary, rows, [folder / "pictures" / name for name in pictures.values()], files)


def _totals(model: LoadedModel, counts: Path) -> str:
    """Add up the boxes of all photos, in words."""
    totals = read_csv(counts, {"image_id": "string"})[model.classes].sum()
    density = density_of(totals.to_dict(), model.settings)
    found = ", ".join(f"{count} {name}" for name, count in totals.items())
    return f" In all: {found}." + (f" If they are of one patient: {density}." if density else "")
