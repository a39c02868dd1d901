"""Predictions for any image files by all models of a task, as tables, sentences and pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tropho.commands.describe_predictions import (
    above_thresholds,
    count_boxes,
    count_images,
    counts_table,
    describe_boxes,
    describe_class,
    draw_class,
    draw_detections,
)
from tropho.commands.find_images import find_images
from tropho.commands.load_model import LoadedModel, load_model
from tropho.data.audit.missing_labels import ignored_in
from tropho.errors import DataError
from tropho.images.decode import read_image
from tropho.images.draw import write_png
from tropho.log import info, track
from tropho.submission.layout import target_of, write_submission
from tropho.tables import DECIMALS, write_table


@dataclass(frozen=True)
class PredictOptions:
    """What `tropho predict` writes beside its lines.

    Attributes:
        out: table in the layout of the task's submission; None = none.
        draw: folder of a picture for each image; None = none.
        counts: say and write the number of boxes of each image, or of images, by class: beside `out`, in `draw`, or in
            the working directory.
        threshold: "best" or a number; see `LoadedModel.thresholds`. None leaves all boxes in `out`.
        exported: use the exported models.
    """

    out: Path | None = None
    draw: Path | None = None
    counts: bool = False
    threshold: str | None = None
    exported: bool = False


def predict_files(task: str, places: list[Path], root: Path, options: PredictOptions) -> list[str]:
    """Predict image files, write what the options ask for, and return a line for each image and a last one.

    Images are named by their files, without the ending if a sample submission names them so. Unreadable images are
    named on standard error and left out.

    Args:
        task: name of the task.
        places: files, folders and patterns; see `find_images`.
        root: of the repository.
        options: what to write.

    Raises:
        UsageError: the threshold doesn't fit the task, or there are no images.
        DataError: the task has no trained model, models or settings have changed since they were evaluated, or no image
            can be read.
    """
    files = image_names(find_images(places))
    return predict_with(load_model(task, root, options.exported), files, options)


def predict_with(model: LoadedModel, files: dict[str, Path], options: PredictOptions) -> list[str]:
    """Predict image files by name; see `predict_files`."""
    thresholds = model.thresholds(options.threshold)
    tables, lines = {}, []
    for name, file in track(list(files.items()), "Predicting"):
        try:
            tables[name] = predict_file(model, file, name)
        except DataError as error:
            info(f"left out: {error}")
            continue
        shown = shown_part(model, tables[name], thresholds)
        line = describe_image(model, shown, thresholds if options.threshold else None)
        lines.append(f"{name}: {line}")
        if options.draw:
            picture = draw_image(model, file, shown, f"{name}: {line}")
            write_png(options.draw / f"{picture_name(name)}.png", picture)
    if not tables:
        raise DataError(f"None of the {len(files)} images can be read.")
    return [*lines, _write_tables(model, tables, thresholds, options, len(files))]


def predict_file(model: LoadedModel, file: Path, name: str) -> pd.DataFrame:
    """Predict one image file, post-processed; raise DataError if it can't be read."""
    ensemble = model.ensemble
    raw = ensemble.predict_file(file, name)
    return ensemble.postprocess([raw], ignored_in({name: file}, ensemble.findings))


def shown_part(model: LoadedModel, table: pd.DataFrame, thresholds: dict[str, float]) -> pd.DataFrame:
    """Leave out boxes below their threshold, and the negative class; probabilities of classes stay."""
    return above_thresholds(table, thresholds) if model.settings.kind == "detection" else table


def describe_image(model: LoadedModel, shown: pd.DataFrame, thresholds: dict[str, float] | None) -> str:
    """Say in one line what was found in one image."""
    if model.settings.kind == "detection":
        return describe_boxes(shown, model.classes, model.settings)
    return describe_class(shown.iloc[0].to_dict(), model.classes, thresholds)


def draw_image(model: LoadedModel, file: Path, shown: pd.DataFrame, title: str) -> np.ndarray:
    """Draw what was found on the image of a file, (h, w, 3) uint8 RGB."""
    image = read_image(file, decoding=model.ensemble.decoding)
    if model.settings.kind == "detection":
        return draw_detections(image, shown, model.classes, title)
    return draw_class(image, "", title)


def picture_name(name: str) -> str:
    """Return a file name without an ending for the picture of an image that may be named by a path."""
    return name.strip("./").replace("/", "__").replace("\\", "__")


def image_names(images: list[Path]) -> dict[str, Path]:
    """Index the files by name, or by path if two have the same name."""
    names = [image.name for image in images]
    unique = len(set(names)) == len(names)
    return {image.name if unique else image.as_posix(): image for image in images}


def _write_tables(
    model: LoadedModel, tables: dict[str, pd.DataFrame], thresholds: dict[str, float], options: PredictOptions, n: int
) -> str:
    """Write the tables that the options ask for, and return the last line."""
    predicted = f"{len(tables)} of {n} images predicted"
    table = pd.concat(list(tables.values()), ignore_index=True)
    is_detection = model.settings.kind == "detection"
    written = [] if options.draw is None else [f"pictures in {options.draw}"]
    if options.out is not None:
        kept = table
        if options.threshold and is_detection:
            negative = table["label"] == model.settings.audit.negative
            kept = pd.concat([shown_part(model, table, thresholds), table[negative]], ignore_index=True)
        rows = _write_out(model, kept, list(tables), options.out)
        written.insert(0, f"{rows} rows in {options.out}")
    if options.counts:
        file = _counts_file(options)
        shown = shown_part(model, table, thresholds)
        totals = count_boxes(shown, model.classes) if is_detection else count_images(shown, model.classes)
        predicted += f": {', '.join(f'{count} {name}' for name, count in totals.items())}"
        if is_detection:
            write_table(counts_table(shown, list(tables), model.classes, model.settings), file)
        else:
            write_table(pd.DataFrame({"label": list(totals), "images": list(totals.values())}), file)
        written.append(f"counts in {file}")
    return f"{'; '.join([predicted, *written])}."


def _counts_file(options: PredictOptions) -> Path:
    if options.out is not None:
        return options.out.with_name(f"{options.out.stem}_counts.csv")
    return (options.draw or Path()) / "counts.csv"


def _write_out(model: LoadedModel, table: pd.DataFrame, names: list[str], out: Path) -> int:
    """Write predictions in the layout of the task's submission; return the number of rows."""
    task = model.ensemble.task
    target = target_of(model.paths, model.settings, task.classes)
    scores = [name for name in table.columns if name == "score" or name.startswith("p_")]
    table = table.round(dict.fromkeys(scores, DECIMALS))
    submission = target.layout.fill(task.to_submission(table, names), target.rows_of_files(names))
    write_submission(submission, target.layout, out)
    return len(submission)
