"""The registered model of a task on MLflow: all that `tropho predict` predicts with, and which version is champion."""

import shutil
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import TaskData
from tropho.errors import ExternalError
from tropho.files import fingerprint, temporary_folder, write_json
from tropho.inference.ensemble import FILE, ensemble_record
from tropho.inference.ensemble_members import missing_label_findings, model_entries
from tropho.log import info
from tropho.paths import Paths
from tropho.tracking import Run, best_runs
from tropho.training.fingerprint import code_hash

COMPARED_BY = "validation_hash"
"""Tag of a training's run: only scores whose runs have the same one are of the same images, folds and classes."""


def validation_hash(settings: TaskConfig, data: TaskData, record: dict[str, Any]) -> str:
    """Hash what a score is of, but for the model.

    Args:
        settings: of the task.
        data: data and folds.
        record: run.json.

    Returns:
        16 hex digits of the audited tables, the folds, which of them were trained, the classes and the metric.
    """
    folds = sorted(fold["fold"] for fold in record["folds"])
    measured = [settings.kind, record["score_name"], data.classes, settings.audit.negative]
    return fingerprint([data.data_hash, folds, measured])


def register_models(
    run: Run, settings: TaskConfig, paths: Paths, data: TaskData, record: dict[str, Any], fitted: dict[str, Any]
) -> None:
    """Register the models, with what evaluate learned of them, as a version of the model that has the task's name.

    A version with the same content is not registered again. It becomes `@champion` if no training with the same
    `validation_hash` has a higher score.

    Args:
        run: of the training.
        settings: of the task.
        paths: of the task.
        data: data and folds.
        record: run.json.
        fitted: postprocess.json.
    """
    key = validation_hash(settings, data, record)
    run.set_tags({COMPARED_BY: key})
    alias = "champion" if run.id is not None and _is_best(paths, run.id, key) else None
    entries = model_entries(record)
    members = {
        name: [f"models/{paths.fold(fold['fold'], name).relative_to(paths.models)}" for fold in entry["folds"]]
        for name, entry in entries.items()
    }
    content = ensemble_record(members, settings, fitted, missing_label_findings(settings, paths))
    weights = [fold.get("sha256") for entry in entries.values() for fold in entry["folds"]]
    with temporary_folder(paths.root / ".cache" / "registered" / paths.task) as folder:
        shutil.copytree(paths.models, folder / "models")  # MLflow follows no links
        write_json(folder / FILE, content)
        run.log_model(folder, settings.name, alias, fingerprint([content, weights, code_hash()]))


def _is_best(paths: Paths, run_id: str, key: str) -> bool:
    """Tell whether no comparable training has a higher score; False if it is undefined or the store can't be read."""
    try:
        runs = best_runs(paths.root, paths.task)
    except ExternalError:
        return False
    own, evaluated = runs[runs["id"] == run_id], runs[runs[COMPARED_BY].notna()]
    if own.empty:
        return False
    comparable = evaluated[evaluated[COMPARED_BY] == key]
    others = len(evaluated) - len(comparable)
    if others and set(comparable["id"]) <= {run_id}:
        info(
            f"This training becomes @champion of {paths.task} without a comparison: the {others} evaluated before were "
            "scored on other images, folds or classes."
        )
    return bool((comparable["score"] <= own["score"].iloc[0]).all())
