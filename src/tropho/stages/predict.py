"""Predictions for any image files, by all the models that a task has trained."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from tropho.audit.inspect import device_of
from tropho.audit.protocol import ignored
from tropho.config import load_task
from tropho.errors import DataError
from tropho.files import read_json
from tropho.formats.layout import write_submission
from tropho.images.decode import read_image
from tropho.predicting.ensembles import finish_members, stack_members
from tropho.progress import say, track
from tropho.settings import BASE, TaskSettings
from tropho.stages.evaluated import check_evaluated
from tropho.stages.members import load_folds
from tropho.stages.paths import Paths
from tropho.stages.target import target_of


def predict_files(task: str, images: list[Path], out: Path, root: Path) -> str:
    """Predict image files and write a CSV in the layout of the task's submission; returns a sentence of how many.

    Images are named by their files, without the ending where a sample submission names them so.
    Images that can't be read are named on standard error and left out.

    Raises:
        DataError: the task has no trained model, models or settings have changed since they were evaluated, or no image
            can be read.
    """
    settings = load_task(task, root / "params.yaml")
    paths = Paths(root, settings.name)
    record = paths.models / "run.json"
    if not record.exists():
        raise DataError(f"{task} has no trained model; run `dvc repro`, or `tropho train {task}`.")
    trained = read_json(record)
    fitted = _fitted(settings, paths, trained)
    members = load_folds(settings, paths, trained)
    first = next(iter(members[BASE].values()))
    kind, decoding = first.task, replace(first.decoding, max_megapixels=settings.audit.max_megapixels)
    names = _names(images)
    tables, predicted = [], []
    for name, image in track(list(names.items()), "predict"):
        try:
            pixels = read_image(image, decoding=decoding)
            tables.append(
                stack_members(
                    {
                        member: kind.merge([fold.predict_raw(pixels, name, fitted) for fold in folds.values()], fitted)
                        for member, folds in members.items()
                    }
                )
            )
            predicted.append(name)
        except DataError as error:
            say(f"left out: {error}")
    if not tables:
        raise DataError(f"None of the {len(images)} images can be read.")
    left_out = _left_out(settings, names, paths)
    table = finish_members(kind, pd.concat(tables, ignore_index=True), fitted, left_out)
    target = target_of(paths, settings, kind.classes)
    scores = [name for name in table.columns if name == "score" or name.startswith("p_")]
    table = table.round(dict.fromkeys(scores, settings.submit.decimals))
    rows = target.rows_of_files(predicted)
    submission = target.layout.fill(kind.submission(table, predicted), rows)
    write_submission(submission, target.layout, out)
    return f"{len(tables)} of {len(images)} images predicted; {len(submission)} rows in {out}."


def _fitted(settings: TaskSettings, paths: Paths, record: dict[str, Any]) -> dict[str, Any] | None:
    """What evaluate learned of these models; None if nothing has been evaluated."""
    finish = paths.evaluate / "finish.json"
    if not finish.exists():
        return None
    check_evaluated(paths, record, settings)
    fitted: dict[str, Any] = read_json(finish)
    return fitted


def _left_out(settings: TaskSettings, files: dict[str, Path], paths: Paths) -> pd.Series | None:
    """Classes that annotators left out of such images, as the audit found; None if it found nothing to ignore."""
    summary = paths.audit / "summary.json"
    findings = read_json(summary)["left_out"] if summary.exists() and settings.audit.protocol == "detect" else []
    if not findings:
        return None
    rows = {}
    for name, file in files.items():
        with suppress(OSError), Image.open(file) as header:  # what can't be opened has been left out already
            rows[name] = (*header.size, device_of(header))
    return ignored(pd.DataFrame.from_dict(rows, orient="index", columns=["width", "height", "device"]), findings)


def _names(images: list[Path]) -> dict[str, Path]:
    """Ids of the files: their names, or their paths where two have one name."""
    names = [image.name for image in images]
    unique = len(set(names)) == len(names)
    return {image.name if unique else image.as_posix(): image for image in images}
