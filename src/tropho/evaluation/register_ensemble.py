"""Register a task's trained models on MLflow, and decide which version is the champion."""

import shutil
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import TaskData
from tropho.errors import ExternalError
from tropho.files import fingerprint, temporary_folder, write_json
from tropho.inference.ensemble import FILE, ensemble_record
from tropho.inference.ensemble_members import member_records, missing_label_findings
from tropho.log import info
from tropho.paths import Paths
from tropho.tracking import Run, best_runs
from tropho.training.training_fingerprint import code_hash

VALIDATION_HASH = "validation_hash"
"""Tag of a training's run; scores of equal hashes are of the same images, folds, classes and metric."""


def validation_hash(settings: TaskConfig, data: TaskData, record: dict[str, Any]) -> str:
    """Hash what determines a score, except the model; `record` is run.json.

    Returns: 16 hex digits of the audited tables, the folds, which of them were trained, the classes and the metric.
    """
    folds = sorted(fold["fold"] for fold in record["folds"])
    metric = [settings.kind, record["score_name"], data.classes, settings.audit.negative]
    return fingerprint([data.data_hash, folds, metric])


def register_models(
    run: Run, settings: TaskConfig, paths: Paths, data: TaskData, record: dict[str, Any], params: dict[str, Any]
) -> None:
    """Register the models as a version of the MLflow model with the task's name, unless that content is registered.

    It becomes `@champion` if no training with the same `validation_hash` has a higher score. `run` is that of the
    training, `record` run.json and `params` postprocess.json.
    """
    key = validation_hash(settings, data, record)
    run.set_tags({VALIDATION_HASH: key})
    alias = "champion" if run.id is not None and _is_best(paths, run.id, key) else None
    records = member_records(record)
    members = {
        name: [f"models/{paths.fold(fold['fold'], name).relative_to(paths.models)}" for fold in member["folds"]]
        for name, member in records.items()
    }
    content = ensemble_record(members, settings, params, missing_label_findings(settings, paths))
    weights = [fold.get("sha256") for member in records.values() for fold in member["folds"]]
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
    own, evaluated = runs[runs["id"] == run_id], runs[runs[VALIDATION_HASH].notna()]
    if own.empty:
        return False
    comparable = evaluated[evaluated[VALIDATION_HASH] == key]
    others = len(evaluated) - len(comparable)
    if others and set(comparable["id"]) <= {run_id}:
        info(
            f"This training becomes @champion of {paths.task} without a comparison: the {others} evaluated before were "
            "scored on other images, folds or classes."
        )
    return bool((comparable["score"] <= own["score"].iloc[0]).all())
