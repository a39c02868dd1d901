"""Predictions for any image files, by the folds that a task has trained."""

from pathlib import Path

import pandas as pd

from tropho.config import load_task
from tropho.errors import DataError
from tropho.files import read_json
from tropho.formats.competition import write_competition_csv
from tropho.images.decode import read_image
from tropho.predicting.predictor import Predictor, load_predictor
from tropho.progress import say, track
from tropho.stages.paths import Paths
from tropho.tables import write_table


def predict_files(task: str, images: list[Path], out: Path, root: Path) -> str:
    """Predict image files and write a CSV; returns a sentence that says how many.

    Images that can't be read are named on standard error and left out.

    Raises:
        DataError: the task has no trained model, or no image can be read.
    """
    paths = Paths(root, load_task(task, root / "params.yaml").name)
    record = paths.models / "run.json"
    if not record.exists():
        raise DataError(f"{task} has no trained model; run `dvc repro`, or `tropho train {task}`.")
    predictors = [load_predictor(paths.models / f"fold{fold['fold']}") for fold in read_json(record)["folds"]]
    tables, names = [], []
    for image in track(images, "predict"):
        try:
            tables.append(_predict(image, predictors))
            names.append(image.name)
        except DataError as error:
            say(f"left out: {error}")
    if not tables:
        raise DataError(f"None of the {len(images)} images can be read.")
    kind = predictors[0].task
    submission = kind.submission(pd.concat(tables, ignore_index=True), list(dict.fromkeys(names)))
    if kind.settings.kind == "detection":
        write_competition_csv(submission, out)
    else:
        write_table(submission, out)
    return f"{len(tables)} of {len(images)} images predicted; {len(submission)} rows in {out}."


def _predict(path: Path, predictors: list[Predictor]) -> pd.DataFrame:
    image = read_image(path)
    tables = [
        predictor.predict_images([image])[0].assign(image_id=path.name).astype({"image_id": "string"})
        for predictor in predictors
    ]
    return predictors[0].task.merge(tables)
