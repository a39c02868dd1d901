"""Submit: write the submission of the test predictions, check it, and log where it came from."""

import datetime
import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.errors import DataError
from tropho.files import read_json, sha256_of, write_json
from tropho.inference.ensemble_members import check_manifest
from tropho.inference.trained_folds import copy_results, read_config
from tropho.log import info
from tropho.paths import Paths
from tropho.stages import STAGES
from tropho.submission.format_check import NEGATIVE, check_submission
from tropho.submission.layout import write_submission
from tropho.submission.submission_log import append, keep_file
from tropho.submission.target import Target, target_of, to_stored_frame
from tropho.tables import BOX, BOXES, DECIMALS, IMAGES, SPLITS, empty, read_parquet, read_table
from tropho.tasks.base import Task
from tropho.tracking import code_version, open_tracker
from tropho.tracking.provenance import stages_lock

BEFORE = tuple(itertools.takewhile("submit".__ne__, STAGES))
MAX_NAMES = 5  # images that a message names


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Write submissions/T.csv from the test predictions, and its record beside it.

    Returns: the record.

    Raises:
        DataError: models or settings have changed since they were evaluated, or the file would be refused.
    """
    paths = Paths(root, settings.name)
    record = read_json(paths.models / "run.json")
    check_manifest(paths, record, settings)
    task, _ = read_config(paths.models / f"fold{record['folds'][0]['fold']}")
    target = target_of(paths, settings, task.classes)
    has_rows = settings.evaluate.score_test
    images, splits = read_table(paths.audit / "images.csv", IMAGES), read_table(paths.splits, SPLITS)
    ids = submitted_ids(images, splits) if has_rows else []
    rows = target.rows(ids) if has_rows else []
    predictions = submission_rows(task, paths.evaluate, ids, GroundTruth(images, empty(BOXES)).ignore_classes)
    if set(BOX) <= set(predictions) and read_json(paths.audit / "summary.json").get("box_frame") == "stored":
        predictions, images = to_stored_frame(predictions, images, paths.raw)
    table = target.layout.fill(predictions, rows)
    write_submission(table, target.layout, paths.submission)
    checked = target.followed is not None and has_rows
    if checked:
        _check(paths.submission, target, images, settings.audit.negative or NEGATIVE)
    else:
        info(_why_unchecked(target, has_rows))
    unpredicted = _unpredicted(images, splits, ids, target) if has_rows else {}
    if unpredicted:
        info(_unpredicted_sentence(unpredicted))
    summary = {
        **_provenance(settings.name, paths, record),
        "rows": len(table),
        "images": len(rows),
        "not_predicted": unpredicted,
        "checked": checked,
    }
    _publish(paths, summary, has_rows)
    return summary


def _provenance(task: str, paths: Paths, record: dict[str, Any]) -> dict[str, Any]:
    """Record where the submission comes from: file, score, training, stages, code."""
    metrics, name = read_json(paths.evaluate / "metrics.json"), record["score_name"]
    return {
        "task": task,
        "file": paths.submission.name,
        "sha256": sha256_of(paths.submission),
        "score": {"name": name, "oof": metrics["oof"][name]},
        "run_id": record["run_id"],
        "folds": [fold["fold"] for fold in record["folds"]],
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "stages_lock": stages_lock(paths.root, task, BEFORE),
        **code_version(paths.root),
    }


def _publish(paths: Paths, summary: dict[str, Any], has_rows: bool) -> None:
    """Write the record, keep a copy of the file, and log the submission here and on MLflow."""
    record_json = paths.submission.with_suffix(".json")
    write_json(record_json, summary)
    if has_rows:
        keep_file(paths.submission, paths.archive / f"{summary['sha256'][:8]}.csv.gz")
    entry = {**summary, "score_name": summary["score"]["name"], "score": summary["score"]["oof"]}
    append(paths.submission_log, paths.log_copy, entry if has_rows else None)
    copy_results(paths, {"submission.csv": paths.submission, "submission.json": record_json})
    with open_tracker(paths.root).run(f"train {paths.task}", paths.task, run_id=summary["run_id"]) as tracked:
        tracked.log_artifact(paths.submission, "submission")
        tracked.set_tags({"submission_sha256": summary["sha256"]})


def submitted_ids(images: pd.DataFrame, splits: pd.DataFrame) -> list[str]:
    """List every published test image, readable or not; where none is published, those that split held out."""
    published = images.loc[images["subset"] == "test", "image_id"]
    return list(published if len(published) else splits.loc[splits["subset"] == "test", "image_id"])


def submission_rows(task: Task, evaluate: Path, image_ids: list[str], ignore_classes: pd.Series | None) -> pd.DataFrame:
    """Post-process the raw test predictions, round scores, and convert them to rows of a submission.

    Args:
        task: of the predictions.
        evaluate: folder of test.parquet; without that file, there are no test images.
        image_ids: to submit.
        ignore_classes: as for `Task.postprocess`.
    """
    if (evaluate / "test.parquet").exists():
        raw = read_parquet(evaluate / "test.parquet")
    else:
        raw = read_parquet(evaluate / "oof.parquet").drop(columns="fold").iloc[:0]
    predictions = task.postprocess(raw, read_json(evaluate / "postprocess.json"), ignore_classes)
    scores = [name for name in predictions.columns if name == "score" or name.startswith("p_")]
    return task.to_submission(predictions.round(dict.fromkeys(scores, DECIMALS)), image_ids)


def _check(submission: Path, target: Target, images: pd.DataFrame, negative: str) -> None:
    assert target.sample is not None
    faults = check_submission(submission, target.sample, target.sizes(images), negative, target.layout.labels)
    if faults:
        raise DataError(f"{submission} would be refused: {faults[0]} ({len(faults)} faults in all).")


def _why_unchecked(target: Target, has_rows: bool) -> str:
    if not has_rows:
        return "evaluate.score_test is false: the submission has no rows."
    if target.sample is not None:
        return f"The submission does not follow {target.sample.path}: {target.layout.problem}."
    return "There is no sample submission to check the submission against."


def _unpredicted(
    images: pd.DataFrame, splits: pd.DataFrame, ids: list[str], target: Target
) -> dict[str, dict[str, Any]]:
    """Count the test images without a prediction: {status: {"images": number, "first": some names}}.

    The status is that of tables.IMAGES, or "no test image" for what the sample alone names.
    """
    predicted = set(splits.loc[splits["subset"] == "test", "image_id"])
    status = images.set_index("image_id")["status"].loc[[image_id for image_id in ids if image_id not in predicted]]
    names: dict[str, list[str]] = {}
    for image_id, reason in status.items():
        names.setdefault(str(reason), []).append(str(image_id))
    if target.followed is not None:
        unknown = [image_id for image_id in target.followed.ids if image_id not in target.matches.images]
        names |= {"no test image": unknown} if unknown else {}
    return {reason: {"images": len(group), "first": group[:MAX_NAMES]} for reason, group in names.items()}


def _unpredicted_sentence(unpredicted: dict[str, dict[str, Any]]) -> str:
    total = sum(group["images"] for group in unpredicted.values())
    parts = [
        f"{group['images']:,} {reason}: {', '.join(group['first'])}{', ...' if group['images'] > MAX_NAMES else ''}"
        for reason, group in unpredicted.items()
    ]
    return f"Test images without a prediction, whose rows hold default values: {total:,} ({'; '.join(parts)})."
