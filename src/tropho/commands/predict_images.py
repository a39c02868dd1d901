"""Predictions for any image files by all models that a task has trained."""

from pathlib import Path
from typing import Any

from tropho.config.load import load_task
from tropho.config.task_config import TaskConfig
from tropho.data.audit.missing_labels import ignored_in
from tropho.errors import DataError
from tropho.evaluation.manifest import check_manifest
from tropho.files import read_json
from tropho.inference.ensemble import Ensemble
from tropho.inference.ensemble_members import load_folds, missing_label_findings
from tropho.inference.predictor import best_device
from tropho.log import info, track
from tropho.paths import Paths
from tropho.submission.layout import target_of, write_submission
from tropho.tables import DECIMALS


def predict_files(task: str, images: list[Path], out: Path, root: Path) -> str:
    """Predict image files, write a CSV in the layout of the task's submission, and return a sentence.

    Images are named by their files, without the ending if a sample submission names them so. Unreadable images are
    named on standard error and left out.

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
    folds = load_folds(settings, paths, trained, best_device())
    members = {name: list(each.values()) for name, each in folds.items()}
    ensemble = Ensemble(members, fitted, missing_label_findings(settings, paths), settings.audit.max_megapixels)
    files, tables = _image_ids(images), {}
    for name, image in track(list(files.items()), "Predicting"):
        try:
            tables[name] = ensemble.predict_file(image, name)
        except DataError as error:
            info(f"left out: {error}")
    if not tables:
        raise DataError(f"None of the {len(images)} images can be read.")
    predicted = list(tables)
    table = ensemble.postprocess(list(tables.values()), ignored_in(files, ensemble.findings))
    target = target_of(paths, settings, ensemble.task.classes)
    scores = [name for name in table.columns if name == "score" or name.startswith("p_")]
    table = table.round(dict.fromkeys(scores, DECIMALS))
    rows = target.rows_of_files(predicted)
    submission = target.layout.fill(ensemble.task.to_submission(table, predicted), rows)
    write_submission(submission, target.layout, out)
    return f"{len(tables)} of {len(images)} images predicted; {len(submission)} rows in {out}."


def _fitted(settings: TaskConfig, paths: Paths, record: dict[str, Any]) -> dict[str, Any] | None:
    """Read what `evaluate` fitted for these models; None if nothing has been evaluated."""
    postprocess = paths.evaluate / "postprocess.json"
    if not postprocess.exists():
        return None
    check_manifest(paths, record, settings)
    fitted: dict[str, Any] = read_json(postprocess)
    return fitted


def _image_ids(images: list[Path]) -> dict[str, Path]:
    """Index the files by name, or by path if two have the same name."""
    names = [image.name for image in images]
    unique = len(set(names)) == len(names)
    return {image.name if unique else image.as_posix(): image for image in images}
