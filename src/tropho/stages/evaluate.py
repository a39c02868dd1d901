"""Evaluate: predict out of fold and the test set, fit post-processing, compute every metric and plot."""

from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import GroundTruth, TaskData, read_task_data, rows_of
from tropho.evaluation.evaluator import Evaluator, build_evaluator
from tropho.evaluation.postprocess_search import cross_fit_postprocess
from tropho.evaluation.register_ensemble import register_models
from tropho.evaluation.results_writer import ResultsWriter
from tropho.files import atomic_folder, read_json, without_nan, write_json
from tropho.images.decode import ImageReader
from tropho.images.fonts import naming
from tropho.inference.ensemble import MemberTables
from tropho.inference.ensemble_members import Members, load_folds, predict_oof, predict_test, write_manifest
from tropho.inference.trained_folds import copy_results
from tropho.metrics.metric_names import ascii_names
from tropho.paths import Paths
from tropho.plots.galleries import label_issue_gallery
from tropho.tables import LABEL_ISSUES, write_table
from tropho.tasks.base import Task
from tropho.tracking import Run, open_tracker
from tropho.tracking.describe_run import training_note
from tropho.training.devices import make_accelerator


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Evaluate the trained folds into reports/T/evaluate.

    Of several processes all predict, and the first alone computes and writes.

    Returns: content of metrics.json; {} on the other processes.
    """
    paths = Paths(root, settings.name)
    data = read_task_data(paths)
    record = read_json(paths.models / "run.json")
    accelerator = make_accelerator(settings.train)
    members = load_folds(settings, paths, record, accelerator.device, data)
    task = next(iter(members[BASE].values())).task
    evaluator = build_evaluator(task)
    oof_gt = data.gt.subset([image_id for fold in members[BASE] for image_id in data.folds[fold]])
    test_gt = data.gt.subset(data.test_ids if settings.evaluate.score_test else [])
    oof = predict_oof(members, data, accelerator)
    groups = oof_gt.images.set_index("image_id")["group"]
    fit = evaluator.postprocess_fitter(oof_gt, oof, groups)
    params = fit(list(groups.index))
    test = predict_test(members, test_gt, data, accelerator, params) if len(test_gt.images) else None
    if not accelerator.is_main_process:
        return {}
    reader = ImageReader(paths.raw, data.decoding)
    names = ascii_names([*data.classes, *filter(None, [settings.audit.negative])])
    predictions = cross_fit_postprocess(task, fit, oof_gt, oof, groups)
    with atomic_folder(paths.evaluate) as folder, naming(data.classes):
        write_manifest(folder, record, settings)
        write_json(folder / "postprocess.json", without_nan(params))
        results = _write_oof(evaluator, members, data, oof_gt, oof, predictions, params, reader, folder)
        if test is not None:
            _write_test(results, members, data, test_gt, task.fuse_members(test, params), params)
        results.add_leaks(data, members[BASE])
        results.notes["oof"] += _renamed_note(names)
        metrics = {"headline": results.headline(), **results.metrics}
        low, high = results.interval("oof")
        write_json(folder / "metrics.json", without_nan(metrics))
        write_json(folder / "notes.json", results.notes)
    _write_dvc_metrics(metrics, paths)
    with open_tracker(root).run(f"train {settings.name}", experiment=settings.name, run_id=record["run_id"]) as tracked:
        compared = {"oof_low": low, "oof_high": high, "oof_images": len(oof_gt.images)}  # see `best_runs`
        _track(tracked, {**_tracked_metrics(metrics, names), **compared}, paths.evaluate)
        tracked.write_note(training_note(settings, record, task.primary_metric, metrics))
        register_models(tracked, settings, paths, data, record, params)
    return metrics


def _write_oof(
    evaluator: Evaluator,
    members: Members,
    data: TaskData,
    gt: GroundTruth,
    oof: MemberTables,
    predictions: pd.DataFrame,
    params: dict[str, Any],
    reader: ImageReader,
    folder: Path,
) -> ResultsWriter:
    """Write out-of-fold predictions, label issues, thresholds, tables and plots; return the metrics and notes."""
    task, base = evaluator.task, members[BASE]
    raw = task.fuse_members(oof, params)
    write_table(raw.assign(fold=raw["image_id"].map(data.fold_of)), folder / "oof.parquet")
    write_table(predictions, folder / "oof_postprocessed.parquet")
    issues = evaluator.label_issues(gt, predictions)
    write_table(issues, folder / "label_issues.csv", LABEL_ISSUES)
    n_images = task.settings.evaluate.gallery_images
    label_issue_gallery(issues, gt.images, gt.boxes, reader, folder / "label_issues.png", n_images)
    thresholds = evaluator.thresholds(gt, predictions)
    write_json(folder / "thresholds.json", thresholds)
    results = ResultsWriter(evaluator, thresholds, reader, folder)
    results.add("oof", gt, predictions, raw)
    results.plot("oof", gt, predictions, raw)
    fold, predictor = next(iter(base.items()))
    results.plot_heat_maps("oof", predictor.model, data.train_val(fold)[1], predictions, data.cache)
    results.metrics["folds"] = {
        f"fold{fold}": {task.primary_metric: _score(task, data.train_val(fold)[1], predictions)} for fold in base
    }
    if len(members) > 1:
        results.add_members(_write_members(members, oof, gt, folder), params)
    return results


def _write_test(
    results: ResultsWriter,
    members: Members,
    data: TaskData,
    gt: GroundTruth,
    raw: pd.DataFrame,
    params: dict[str, Any],
) -> None:
    """Write raw test predictions, score those of images with a label, and plot all."""
    write_table(raw, results.folder / "test.parquet")
    first = next(iter(members[BASE].values()))
    predictions, labelled = first.task.postprocess(raw, params, gt.ignore_classes), gt.with_labels()
    if len(labelled.images):
        results.add("test", labelled, predictions, raw)
        results.plot_heat_maps("test", first.model, labelled, predictions, data.cache)
    results.plot("test", gt, predictions, raw)


def _write_members(members: Members, oof: MemberTables, gt: GroundTruth, folder: Path) -> dict[str, dict[str, float]]:
    """Write each member's raw out-of-fold predictions; return {member: {its primary metric: score}}."""
    scores = {}
    for name, folds in members.items():
        task = next(iter(folds.values())).task
        raw = task.fuse_views(oof[name])
        write_table(raw, folder / "members" / f"{name}.parquet")
        predictions = task.postprocess(raw, ignore_classes=gt.ignore_classes)
        scores[name] = {task.primary_metric: _score(task, gt, predictions)}
    return scores


def _score(task: Task, gt: GroundTruth, predictions: pd.DataFrame) -> float:
    return task.score(gt, rows_of(gt, predictions))


def _write_dvc_metrics(metrics: dict[str, Any], paths: Paths) -> None:
    """Write metrics/T.json for `dvc metrics show`: the score with its 95 % interval, and that out of fold."""
    headline = metrics["headline"]
    score = {"score": headline["value"], "low": headline["low"], "high": headline["high"]}
    write_json(paths.metrics, without_nan({**score, "out_of_fold": metrics["oof"][headline["name"]]}))
    copy_results(paths, {"metrics.json": paths.evaluate / "metrics.json"})


def _renamed_note(names: dict[str, str]) -> list[str]:
    """Say which classes MLflow knows by another name."""
    renamed = [f"'{name}' is '{other}'" for name, other in names.items() if name != other]
    return [f"MLflow takes plain letters alone: in the names of its metrics, {', '.join(renamed)}."] if renamed else []


def _tracked_metrics(metrics: dict[str, Any], names: dict[str, str]) -> dict[str, float | None]:
    """Name the metrics of each subset as MLflow does: `subset/metric/class`."""
    tracked = {}
    for subset in ("oof", "test", "test_without_leaks"):
        for key, value in metrics.get(subset, {}).items():
            metric, slash, name = key.partition("/")
            tracked[f"{subset}/{metric}{slash}{names.get(name, name)}"] = value
    return tracked


def _track(run: Run, metrics: dict[str, float | None], folder: Path) -> None:
    """Add the results to the run of the training."""
    run.log_metrics(metrics)
    run.log_artifact(folder / "metrics.json", "evaluate")
    run.log_artifact(folder / "tables", "evaluate/tables")
    run.log_artifact(folder / "figures", "evaluate/figures")
