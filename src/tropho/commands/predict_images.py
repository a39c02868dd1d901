"""Predictions for any image files by all models of a task, as tables, sentences and pictures."""

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from tropho.commands.load_model import LoadedModel, load_model
from tropho.errors import DataError, UsageError
from tropho.images.decode import read_image
from tropho.images.draw import write_png
from tropho.images.file_types import is_hidden, is_image_name
from tropho.log import info, track
from tropho.submission.layout import write_submission
from tropho.submission.target import target_of
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
        UsageError: the threshold doesn't fit the task, there are no images, or one that is named does not exist.
        DataError: the task has no trained model, models or settings have changed since they were evaluated, or no image
            can be read.
    """
    files = image_names(find_images(places))
    model = load_model(task, root, options.exported)
    thresholds = model.thresholds(options.threshold)
    tables, lines, pictures = {}, [], picture_names(list(files))
    for name, file in track(list(files.items()), "Predicting"):
        try:
            tables[name] = model.predict_file(file, name)
        except DataError as error:
            info(f"left out: {error}")
            continue
        shown = model.shown(tables[name], thresholds)
        line = model.describe(shown, thresholds if options.threshold else None)
        lines.append(f"{name}: {line}")
        if options.draw:
            image = read_image(file, decoding=model.ensemble.decoding)
            write_png(options.draw / pictures[name], model.draw(image, shown, f"{name}: {line}"))
    if not tables:
        raise DataError(f"None of {len(files)} image(s) can be read, such as {next(iter(files.values()))}.")
    totals, written = write_tables(model, tables, thresholds, options)
    last = "; ".join([f"{len(tables)} of {len(files)} images predicted{totals}", *written])
    return [*lines, f"{last}.{_least_scores(model, thresholds, options)}"]


def picture_names(names: Sequence[str]) -> dict[str, str]:
    """Name the drawn pictures of images, such as a_drawn.png of a.jpg; images may be named by paths.

    The names differ from those of photos, so that photos in the same folder stay.
    """
    flat = {name: PurePosixPath(name.strip("./\\").replace("\\", "/").replace("/", "__")) for name in names}
    stems = Counter(path.stem for path in flat.values())
    full = {name: path.stem if stems[path.stem] == 1 else path.name.replace(".", "_") for name, path in flat.items()}
    return {name: f"{stem}_drawn.png" for name, stem in full.items()}


def find_images(places: Iterable[Path]) -> list[Path]:
    """List image files in the order of `places`, each once.

    Args:
        places: files, taken whatever their ending; folders, whose images are taken with those of folders in them; or
            patterns such as `photos/*.jpg`, in which `**` stands for any folders.

    Raises:
        UsageError: a folder or pattern holds no image, or a file does not exist.
    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            files = _images_in(place)
        elif not place.exists() and glob.has_magic(str(place)):
            matches = [Path(name) for name in sorted(glob.glob(str(place), recursive=True))]  # noqa: PTH207 - a pattern may be absolute
            files = [file for each in matches for file in (_images_in(each) if each.is_dir() else [each])]
        elif not place.exists():
            raise UsageError(f"The image {place} does not exist; check the path.")
        else:
            files = [place]
        if not files:
            what = "folder" if place.is_dir() else "pattern"
            raise UsageError(f"The {what} {place} has no image file, such as a .jpg or .png.")
        found.update(dict.fromkeys(files))
    return list(found)


def _images_in(folder: Path) -> list[Path]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [
        folder / path
        for path in sorted(files)
        if is_image_name(path.name) and not any(is_hidden(part) for part in path.parts)
    ]


def image_names(images: list[Path]) -> dict[str, Path]:
    """Index the files by name, or by path if two have the same name."""
    names = [image.name for image in images]
    unique = len(set(names)) == len(names)
    return {image.name if unique else image.as_posix(): image for image in images}


def _least_scores(model: LoadedModel, thresholds: dict[str, float], options: PredictOptions) -> str:
    """Say from which scores on boxes are counted, where a table or a picture shows scores."""
    if not model.is_detection or (options.out is None and options.draw is None):
        return ""
    least = ", ".join(f"{name} {value:.2f}" for name, value in thresholds.items())
    rest = f"; {options.out.name} has all boxes" if options.out is not None and options.threshold is None else ""
    return f" Boxes are counted from these scores on: {least}{rest}."


def write_tables(
    model: LoadedModel, tables: dict[str, pd.DataFrame], thresholds: dict[str, float], options: PredictOptions
) -> tuple[str, list[str]]:
    """Write the tables that the options ask for, of at least one image.

    Args:
        model: predicted them.
        tables: result of `LoadedModel.predict_file` by image_id.
        thresholds: least score of a box that is counted, by class.
        options: what to write.

    Returns: the counts by class, if they are asked for; and what was written, pictures as well, in a few words each.
    """
    table, found = pd.concat(list(tables.values()), ignore_index=True), ""
    written = [] if options.draw is None else [f"pictures in {options.draw}"]
    if options.out is not None:
        kept = table
        if options.threshold and model.is_detection:
            negative = table["label"] == model.settings.audit.negative
            kept = pd.concat([model.shown(table, thresholds), table[negative]], ignore_index=True)
        rows = _write_out(model, kept, list(tables), options.out)
        written.insert(0, f"{rows} rows in {options.out}")
    if options.counts:
        file = (options.draw or Path()) / "counts.csv"
        if options.out is not None:
            file = options.out.with_name(f"{options.out.stem}_counts.csv")
        shown = model.shown(table, thresholds)
        totals = model.count(shown)
        found = f": {', '.join(f'{count} {name}' for name, count in totals.items())}"
        by_class = pd.DataFrame({"label": list(totals), "images": list(totals.values())})
        write_table(model.counts_table(shown, list(tables)) if model.is_detection else by_class, file)
        written.append(f"counts in {file}")
    return found, written


def _write_out(model: LoadedModel, table: pd.DataFrame, names: list[str], out: Path) -> int:
    """Write predictions in the layout of the task's submission; return the number of rows."""
    task = model.ensemble.task
    target = target_of(model.paths, model.settings, task.classes)
    scores = [name for name in table.columns if name == "score" or name.startswith("p_")]
    table = table.round(dict.fromkeys(scores, DECIMALS))  # boxes keep all digits, as in the submission
    submission = target.layout.fill(task.to_submission(table, names), target.rows_of_files(names))
    write_submission(submission, target.layout, out)
    return len(submission)
