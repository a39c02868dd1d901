"""Load the trained models that run.json lists, predict images with them, and record which ones an evaluation is of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator

from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import DataError
from tropho.files import read_json, sha256_of, write_json
from tropho.inference.ensemble import MemberTables
from tropho.inference.predict import make_eval_loader, predict_all
from tropho.inference.predictor import Predictor, load_predictor
from tropho.inference.trained_folds import CONFIG, damaged_files
from tropho.paths import Paths

Members = dict[str, dict[int, Predictor]]
"""Trained models by member and fold, the task's own model first."""
MANIFEST = "manifest.json"
FITTED_KEYS = {"score_test", "fit_postprocess"}
"""Settings of `evaluate` that change predictions or what is fitted to them."""


def member_records(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Index the records of run.json by member, the task's own model first; each has "folds"."""
    return {BASE: record, **record.get("members", {})}


def check_members(settings: TaskConfig, paths: Paths, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return `member_records`; raise DataError where they are not of the members that the settings ask for."""
    records = member_records(record)
    wanted = [BASE, *settings.train.ensemble]
    if set(wanted) != set(records):
        raise DataError(
            f"{paths.models} holds {', '.join(records)}, and params.yaml asks for {', '.join(wanted)}; run "
            f"`dvc repro`, or `tropho train {settings.name}`."
        )
    return records


def missing_label_findings(settings: TaskConfig, paths: Paths) -> list[dict[str, Any]]:
    """Read the audit's findings of classes that annotators left out; [] where `audit.missing_labels` ignores none."""
    summary = paths.audit / "summary.json"
    if settings.audit.missing_labels != "detect" or not summary.exists():
        return []
    return list(read_json(summary).get("missing_labels", []))


def load_member_folds(
    name: str, record: dict[str, Any], settings: TaskConfig, paths: Paths, device: torch.device
) -> dict[int, Predictor]:
    """Load a member's models by fold; raise DataError where a file is not what was trained."""
    for fold in record["folds"]:
        folder = paths.fold(fold["fold"], name)
        damaged = damaged_files(folder, fold)
        digest = record.get("config_sha256")  # not in what earlier versions trained
        if digest and not ((folder / CONFIG).is_file() and sha256_of(folder / CONFIG) == digest):
            damaged.append(CONFIG)
        if damaged:
            raise DataError(
                f"{folder / damaged[0]} is missing or damaged: it is not what was trained; run "
                f"`tropho train {settings.name}`, which trains it again (`dvc repro` does not notice the damage)."
            )
    numbers = [fold["fold"] for fold in record["folds"]]
    return {number: load_predictor(paths.fold(number, name), device, settings) for number in numbers}


def load_folds(
    settings: TaskConfig, paths: Paths, record: dict[str, Any], device: torch.device, data: TaskData | None = None
) -> Members:
    """Load every trained model; the sections predict and evaluate of `settings` apply.

    Raises:
        DataError: the settings ask for other members than run.json (`record`) holds, a file is missing or damaged, or
            the models were trained on other data than `data`, if that is given.
    """
    if data and record.get("data_hash", data.data_hash) != data.data_hash:
        raise DataError(
            f"{paths.models} was trained on other images, labels or folds than the present ones, so it may know the "
            f"images that it is scored on; run `dvc repro`, or `tropho train {settings.name}`."
        )
    records = check_members(settings, paths, record)
    return {name: load_member_folds(name, member, settings, paths, device) for name, member in records.items()}


def predict_views(
    folds: Sequence[Predictor], gt: GroundTruth, data: TaskData, accelerator: Accelerator
) -> list[list[pd.DataFrame]]:
    """Predict images of `data` with folds of one model; for each, one raw prediction table a test-time view."""
    task, models = folds[0].task, [fold.model for fold in folds]
    cache, settings = data.at_size(task.settings.augment.image_size).cache, task.settings.predict
    loader = make_eval_loader(task, gt, cache, accelerator, settings.batch_size)
    return predict_all(task, models, loader, list(gt.images["image_id"]), cache, accelerator, settings.tta)


def predict_oof(members: Members, data: TaskData, accelerator: Accelerator) -> MemberTables:
    """Predict the validation images of each fold by the model that was not trained on them.

    Returns: raw tables; views are kept apart only where their fusion is to be fitted, to save memory.
    """
    tables = {}
    for name, folds in members.items():
        by_fold = []
        for fold, predictor in folds.items():
            [views] = predict_views([predictor], data.train_val(fold)[1], data, accelerator)
            keep_views = predictor.task.settings.evaluate.fit_postprocess
            by_fold.append(views if keep_views else [predictor.task.fuse_views(views)])
        tables[name] = [pd.concat(views, ignore_index=True) for views in zip(*by_fold, strict=True)]
    return tables


def predict_test(
    members: Members, gt: GroundTruth, data: TaskData, accelerator: Accelerator, params: dict[str, Any] | None = None
) -> MemberTables:
    """Predict images that no model was trained on, by all folds; views and folds are fused by `params`."""
    tables = {}
    for name, folds in members.items():
        predictors = list(folds.values())
        task = predictors[0].task
        fused = [task.fuse_views(views, params) for views in predict_views(predictors, gt, data, accelerator)]
        tables[name] = [task.fuse_views(fused, params)]
    return tables


def write_manifest(folder: Path, record: dict[str, Any], settings: TaskConfig) -> None:
    """Write manifest.json into `folder`; `record` is run.json."""
    rule = {"threshold_rule": settings.evaluate.threshold_description}
    write_json(folder / MANIFEST, {**_manifest(member_records(record), settings), **rule})


def check_manifest(paths: Paths, record: dict[str, Any], settings: TaskConfig) -> None:
    """Raise DataError unless the evaluation in reports/T is of these models (run.json) and present settings."""
    file = paths.evaluate / MANIFEST
    if not file.exists():
        raise DataError(f"{paths.evaluate} does not say which models it is of; run `tropho evaluate {paths.task}`.")
    known = read_json(file)
    changed = [
        f"{section}{name}"
        for section, present in _manifest(check_members(settings, paths, record), settings).items()
        for name in sorted({*present, *known.get(section, {})})
        if present.get(name) != known.get(section, {}).get(name)
    ]
    if changed:
        raise DataError(
            f"{paths.evaluate} belongs to other models or settings (changed since: "
            f"{', '.join(changed)}); run `tropho evaluate {paths.task}`."
        )


def _manifest(records: dict[str, dict[str, Any]], settings: TaskConfig) -> dict[str, dict[str, Any]]:
    """Collect trained folds and settings, keyed by how their names begin in messages."""
    return {
        "member ": {name: record["folds"] for name, record in records.items()},
        "predict.": settings.predict.model_dump(exclude={"batch_size"}),  # which changes no prediction
        "evaluate.": settings.evaluate.model_dump(include=FITTED_KEYS),
    }
