"""Predict uploaded photos and show them at any confidence; nothing of the files but their pixels is kept."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.commands.load_model import PICTURE_WIDTH, LoadedModel
from tropho.commands.predict_images import PredictOptions, picture_names, write_tables
from tropho.errors import DataError
from tropho.images.cache import resize_as_cached
from tropho.images.decode import read_image
from tropho.images.draw import enlarged, write_png
from tropho.log import track
from tropho.tables import BOX, read_csv

COUNTS = ["class", "boxes"]
"""Columns of the table of counts."""
SMALLEST_WIDTH = 420
"""Pixels that smaller photos are enlarged to."""
SHOWN = "shown-"
"""How the names of folders begin that hold the results at one choice of thresholds."""


@dataclass(frozen=True)
class Photo:
    """A predicted photo.

    Attributes:
        image: (h, w, 3) uint8 RGB, upright, SMALLEST_WIDTH to PICTURE_WIDTH[1] pixels wide.
        table: post-processed predictions, boxes in pixels of `image`.
        probabilities: by class; None of boxes.
        heat: (h, w, 3) uint8 RGB, what speaks for the most probable class; None where there is none.
    """

    image: np.ndarray
    table: pd.DataFrame
    probabilities: dict[str, float] | None = None
    heat: np.ndarray | None = None


def without_place(error: DataError, file: Path, name: str) -> str:
    """Return what is wrong with an uploaded photo, by its name instead of its temporary path."""
    return str(error).replace(str(file), name)


def view_photo(model: LoadedModel, file: Path) -> Photo:
    """Predict an image file; raise DataError if it can't be read."""
    table = model.predict_file(file, "photo")
    original = read_image(file, decoding=model.ensemble.decoding)
    image, factor = enlarged(original, int(np.clip(original.shape[1], SMALLEST_WIDTH, PICTURE_WIDTH[1])))
    if model.is_detection:
        return Photo(image, table.assign(**{side: table[side] * factor for side in BOX}))
    probabilities = {name: float(table[f"p_{name}"].iloc[0]) for name in model.classes}
    return Photo(image, table, probabilities, heat_map(model, original, str(table["label"].iloc[0])))


def show_photo(
    model: LoadedModel, photo: Photo, thresholds: dict[str, float]
) -> tuple[np.ndarray, str, list[list[str | int]] | None]:
    """Draw a photo with its boxes from the thresholds on, or say its class.

    Returns: picture (H, W, 3) uint8 RGB; what was found, in words; rows of COUNTS, None for classes of images.
    """
    shown = model.shown(photo.table, thresholds)
    if not model.is_detection:
        return photo.image, model.describe(shown, thresholds), None
    counts = model.count(shown)
    density = model.density(counts)
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "Nothing found"
    sentence = f"{found}." if density is None else f"{found}. Estimate: {density}."
    return model.draw(photo.image, shown), sentence, [[name, count] for name, count in counts.items()]


def has_heat_maps(model: LoadedModel) -> bool:
    """Tell whether photos get heat maps: classifiers do that are not exported, where grad-cam is installed."""
    has_network = not model.is_detection and hasattr(model.ensemble.first_fold, "model")
    return has_network and find_spec("pytorch_grad_cam") is not None


def heat_map(model: LoadedModel, image: np.ndarray, label: str) -> np.ndarray | None:
    """Draw the Grad-CAM map of the first fold for a class over an image (h, w, 3); None where there is none."""
    if not has_heat_maps(model):
        return None
    from tropho.inference.predictor import Predictor
    from tropho.plots.grad_cam import class_maps, overlay

    fold = model.ensemble.first_fold
    assert isinstance(fold, Predictor)  # exported models have no heat maps
    augment = fold.task.settings.augment
    sample = fold.task.sample(resize_as_cached(image, augment.image_size, augment.grayscale))[0]  # (3, H, W)
    maps = class_maps(fold.model, sample[None], [model.classes.index(label)])
    if maps is None:
        return None
    return enlarged(overlay(np.ascontiguousarray(sample.permute(1, 2, 0).numpy()), maps[0]), SMALLEST_WIDTH)[0]


@dataclass(frozen=True)
class Batch:
    """Predicted photos, by name.

    Attributes:
        folder: of the pixels and results.
        found: post-processed predictions of each photo, boxes in pixels of the original; or why it can't be read.
        factors: size of the kept pixels relative to the original.
    """

    folder: Path
    found: dict[str, pd.DataFrame | str] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)

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
            batch.found[name] = model.predict_file(file, name)
            image = read_image(file, decoding=model.ensemble.decoding)
        except DataError as error:
            batch.found[name] = without_place(error, file, name)
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
    thresholds = model.thresholds(threshold)
    tables = {name: table for name, table in batch.found.items() if not isinstance(table, str)}
    pictures = picture_names(list(tables))
    rows = []
    for name, table in batch.found.items():
        if isinstance(table, str):
            rows.append([name, table])
            continue
        shown = model.shown(table, thresholds)
        line = model.describe(shown, thresholds)
        rows.append([name, line])
        scaled = shown
        if model.is_detection:
            scaled = shown.assign(**{side: shown[side] * batch.factors[name] for side in BOX})
        drawn = model.draw(read_image(batch.pixels(name)), scaled, f"{name}: {line}")
        write_png(folder / "pictures" / pictures[name], drawn)
    summary = f"{len(tables)} of {len(batch.found)} images predicted."
    if not tables:
        return Results(summary, rows)
    out = folder / "predictions.csv"
    write_tables(model, tables, thresholds, PredictOptions(out, counts=model.is_detection, threshold=threshold))
    files = [out, Path(shutil.make_archive(str(folder / "pictures"), "zip", folder / "pictures"))]
    if model.is_detection:
        files.insert(1, folder / "predictions_counts.csv")
        summary += _totals(model, files[1])
    return Results(summary, rows, [folder / "pictures" / name for name in pictures.values()], files)


def _totals(model: LoadedModel, counts: Path) -> str:
    """Add up the boxes of all photos, in words."""
    totals = read_csv(counts, {"image_id": "string"})[model.classes].sum()
    density = model.density(totals.to_dict())
    found = ", ".join(f"{count} {name}" for name, count in totals.items())
    return f" In all: {found}." + (f" If they are of one patient: {density}." if density else "")
