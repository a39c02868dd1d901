"""Submit: the file that a leaderboard accepts, checked, and a record of where it came from."""

import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.errors import DataError
from tropho.files import read_json, sha256_of, write_json
from tropho.formats.competition import write_competition_csv
from tropho.formats.submission import check_submission
from tropho.predicting.predictor import load_predictor
from tropho.settings import TaskSettings
from tropho.stages.paths import Paths
from tropho.tables import IMAGES, read_table, write_table
from tropho.tasks.base import Task
from tropho.tracking import code_version, open_tracker


def run(settings: TaskSettings, root: Path) -> dict[str, Any]:
    """Write submissions/T.csv from the test predictions, check it, and return its record."""
    paths = Paths(root, settings.name)
    record = read_json(paths.models / "run.json")
    predictions_file = paths.evaluate / "test.parquet"
    if not predictions_file.exists():
        raise DataError(f"{settings.name} has no test images, so there is nothing to submit.")
    task = load_predictor(paths.models / f"fold{record['folds'][0]['fold']}").task
    images = read_table(paths.audit / "images.csv", IMAGES)
    table = _submission(task, pd.read_parquet(predictions_file), images, settings.submit.decimals)
    sample = paths.raw / "SampleSubmission.csv"
    if settings.audit.format == "boxes_csv":
        write_competition_csv(table, paths.submission)
        _refuse_faults(paths.submission, sample, images)
    else:
        write_table(table, paths.submission)
    metrics = read_json(paths.evaluate / "metrics.json")
    summary = {
        "task": settings.name,
        "file": paths.submission.name,
        "rows": len(table),
        "images": int(table["image_id"].nunique()),
        "sha256": sha256_of(paths.submission),
        "score": {"name": record["score_name"], "oof": metrics["oof"][record["score_name"]]},
        "run_id": record["run_id"],
        "folds": [fold["fold"] for fold in record["folds"]],
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **code_version(root),
    }
    write_json(paths.submission.with_suffix(".json"), summary)
    with open_tracker(root).run(f"train {settings.name}", settings.name, run_id=record["run_id"]) as tracked:
        tracked.log_artifact(paths.submission, "submission")
        tracked.set_tags({"submission_sha256": summary["sha256"]})
    return summary


def _submission(task: Task, predictions: pd.DataFrame, images: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Every test image of the audit, readable or not, with confidences rounded."""
    test = images.loc[images["subset"] == "test", "image_id"]
    finished = task.finish(predictions)
    numbers = [name for name in finished.columns if name == "score" or name.startswith("p_")]
    return task.submission(finished.round(dict.fromkeys(numbers, decimals)), list(test))


def _refuse_faults(submission: Path, sample: Path, images: pd.DataFrame) -> None:
    faults = check_submission(submission, sample, images[["image_id", "width", "height"]])
    if faults:
        raise DataError(f"{submission} would be refused: {faults[0]} ({len(faults)} faults in all).")
