"""Submit: the file that a leaderboard accepts, checked, and entered in the ledger with where it came from."""

import datetime
import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.errors import DataError
from tropho.evaluation.manifest import check_manifest
from tropho.files import read_json, sha256_of, write_json
from tropho.inference.predictor import trained_task
from tropho.inference.trained_folds import copy_results
from tropho.log import info
from tropho.paths import Paths
from tropho.stages import STAGES
from tropho.submission.box_frame import to_stored_frame
from tropho.submission.format_check import NEGATIVE, check_submission
from tropho.submission.layout import write_submission
from tropho.submission.submission_log import append, keep_file
from tropho.submission.target import Target, target_of
from tropho.tables import BOX, BOXES, DECIMALS, IMAGES, SPLITS, empty, read_parquet, read_table
from tropho.tasks.base import Task
from tropho.tracking import code_version, open_tracker
from tropho.tracking.provenance import stages_lock

BEFORE = tuple(itertools.takewhile("submit".__ne__, STAGES))
FIRST = 5  # names of images in messages


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Write submissions/T.csv from the test predictions, check it, and return its record.

    Raises:
        DataError: models or settings have changed since they were evaluated, or the file would be refused.
    """
    paths = Paths(root, settings.name)
    record = read_json(paths.models / "run.json")
    check_manifest(paths, record, settings)
    task = trained_task(paths.models / f"fold{record['folds'][0]['fold']}")
    images = read_table(paths.audit / "images.csv", IMAGES)
    splits = read_table(paths.splits, SPLITS)
    held_back = not settings.evaluate.score_test
    image_ids = [] if held_back else _test_ids(images, splits)
    left_out = GroundTruth(images, empty(BOXES)).ignored
    target = target_of(paths, settings, task.classes)
    predictions = _submission(task, paths.evaluate, image_ids, left_out)
    if set(BOX) <= set(predictions) and read_json(paths.audit / "summary.json").get("box_frame") == "stored":
        predictions, images = to_stored_frame(predictions, images, paths.raw)
    rows = [] if held_back else target.rows(image_ids)
    table = target.layout.fill(predictions, rows)
    write_submission(table, target.layout, paths.submission)
    checked = target.followed is not None and not held_back
    if checked:
        _refuse_faults(paths.submission, target, images, settings.audit.negative or NEGATIVE)
    else:
        info(_why_unchecked(target, held_back))
    not_predicted = {} if held_back else _not_predicted(images, splits, image_ids, target)
    if not_predicted:
        info(_sentence(not_predicted))
    metrics = read_json(paths.evaluate / "metrics.json")
    score = {"name": record["score_name"], "oof": metrics["oof"][record["score_name"]]}
    summary = {
        "task": settings.name,
        "file": paths.submission.name,
        "rows": len(table),
        "images": len(rows),
        "not_predicted": not_predicted,
        "checked": checked,
        "sha256": sha256_of(paths.submission),
        "score": score,
        "run_id": record["run_id"],
        "folds": [fold["fold"] for fold in record["folds"]],
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "stages_lock": stages_lock(root, settings.name, BEFORE),
        **code_version(root),
    }
    write_json(paths.submission.with_suffix(".json"), summary)
    _enter(paths, summary, held_back)
    copy_results(paths, {"submission.csv": paths.submission, "submission.json": paths.submission.with_suffix(".json")})
    with open_tracker(root).run(f"train {settings.name}", settings.name, run_id=record["run_id"]) as tracked:
        tracked.log_artifact(paths.submission, "submission")
        tracked.set_tags({"submission_sha256": summary["sha256"]})
    return summary


def _why_unchecked(target: Target, held_back: bool) -> str:
    """Say why no sample submission was held against the file."""
    if held_back:
        return "evaluate.score_test is false: the submission has no rows."
    if target.sample is not None:
        return f"The submission does not follow {target.sample.path}: {target.layout.problem}."
    return "There is no sample submission to check the submission against."


def _enter(paths: Paths, summary: dict[str, Any], held_back: bool) -> None:
    """Keep a copy of the file and add it to the log of submissions."""
    if not held_back:
        keep_file(paths.submission, paths.archive / f"{summary['sha256'][:8]}.csv.gz")
    entry = {**summary, "score_name": summary["score"]["name"], "score": summary["score"]["oof"]}
    append(paths.ledger, paths.ledger_copy, None if held_back else entry)


def _test_ids(images: pd.DataFrame, splits: pd.DataFrame) -> list[str]:
    """Every published test image, readable or not; where none is published, those that split held out."""
    published = images.loc[images["subset"] == "test", "image_id"]
    return list(published if len(published) else splits.loc[splits["subset"] == "test", "image_id"])


def _submission(task: Task, evaluated: Path, image_ids: list[str], ignored: pd.Series | None) -> pd.DataFrame:
    """The task's submission of these images, with confidences rounded; without rows if there are no test images."""
    if (evaluated / "test.parquet").exists():
        table = read_parquet(evaluated / "test.parquet")
    else:
        table = read_parquet(evaluated / "oof.parquet").drop(columns="fold").iloc[:0]
    finished = task.finish(table, read_json(evaluated / "postprocess.json"), ignored)
    numbers = [name for name in finished.columns if name == "score" or name.startswith("p_")]
    return task.submission(finished.round(dict.fromkeys(numbers, DECIMALS)), image_ids)


def _refuse_faults(submission: Path, target: Target, images: pd.DataFrame, negative: str) -> None:
    assert target.sample is not None
    faults = check_submission(submission, target.sample, target.sizes(images), negative, target.layout.labels)
    if faults:
        raise DataError(f"{submission} would be refused: {faults[0]} ({len(faults)} faults in all).")


def _not_predicted(
    images: pd.DataFrame, splits: pd.DataFrame, image_ids: list[str], target: Target
) -> dict[str, dict[str, Any]]:
    """Test images that no model has looked at: {status: {"images": how many, "first": a few}}.

    The status is tables.IMAGES', or "no test image" for what the sample alone names.
    """
    looked_at = set(splits.loc[splits["subset"] == "test", "image_id"])
    statuses = images.set_index("image_id")["status"].loc[[each for each in image_ids if each not in looked_at]]
    names: dict[str, list[str]] = {}
    for image_id, status in statuses.items():
        names.setdefault(str(status), []).append(str(image_id))
    if target.followed is not None:
        strange = [each for each in target.followed.ids if each not in target.matches.images]
        names |= {"no test image": strange} if strange else {}
    return {status: {"images": len(each), "first": each[:FIRST]} for status, each in names.items()}


def _sentence(not_predicted: dict[str, dict[str, Any]]) -> str:
    total = sum(each["images"] for each in not_predicted.values())
    parts = [
        f"{each['images']:,} {status}: {', '.join(each['first'])}{', ...' if each['images'] > FIRST else ''}"
        for status, each in not_predicted.items()
    ]
    return f"Test images that were not looked at, and whose rows say nothing: {total:,} ({'; '.join(parts)})."
