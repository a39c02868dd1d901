"""Evaluate: out-of-fold predictions, test predictions, every metric and figure for them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, TaskData, read_task_data, rows_of
from tropho.evaluation.cross_fit import cross_fit_postprocess
from tropho.evaluation.evaluator import Evaluator, build_evaluator
from tropho.evaluation.fit_members import fit_members
from tropho.evaluation.leaks import find_leaks
from tropho.evaluation.manifest import write_manifest
from tropho.evaluation.paired_gain import describe_gains
from tropho.evaluation.register_ensemble import register_models
from tropho.evaluation.results_writer import ResultsWriter
from tropho.files import atomic_folder, read_json, without_nan, write_json
from tropho.images.decode import ImageReader
from tropho.images.fonts import naming
from tropho.inference.ensemble_members import EnsembleMember, load_members, of_images, out_of_fold
from tropho.inference.fuse_members import fuse_members, member_rows
from tropho.inference.trained_folds import copy_results
from tropho.metrics.class_keys import ascii_names
from tropho.paths import Paths
from tropho.plots import format_numbers
from tropho.plots.galleries import label_issue_gallery
from tropho.tables import LABEL_ISSUES, write_table
from tropho.tasks.base import Task
from tropho.tracking import Run, open_tracker
from tropho.training.devices import make_accelerator


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Evaluate the trained folds into reports/T/evaluate; returns what metrics.json says.

    Of several processes all predict, and the first alone measures and writes; the others return nothing.
    """
    paths = Paths(root, settings.name)
    inputs = read_task_data(paths)
    record = read_json(paths.models / "run.json")
    accelerator = make_accelerator(settings.train)
    members = load_members(settings, paths, record, inputs, accelerator.device)
    base = members[0]
    reader = ImageReader(paths.raw, inputs.decoding)
    task, evaluator = base.task, build_evaluator(base.task)
    oof = out_of_fold(members, accelerator)
    oof_truth = inputs.truth.of([each for number in base.folds for each in inputs.folds[number]])
    test_truth = inputs.truth.of(inputs.test if settings.evaluate.score_test else [])

    groups = oof_truth.images.set_index("image_id")["group"]
    fitted = fit_members(evaluator, oof_truth, oof, groups)
    seen = of_images(members, test_truth, accelerator, fitted) if len(test_truth.images) else None
    if not accelerator.is_main_process:
        return {}

    with atomic_folder(paths.evaluate) as folder, naming(inputs.classes):
        write_json(folder / "postprocess.json", without_nan(fitted))
        write_manifest(folder, record, settings)
        finished = cross_fit_postprocess(evaluator, oof_truth, oof, groups)
        raw = fuse_members(task, oof, fitted)
        write_table(raw.assign(fold=raw["image_id"].map(inputs.fold_of)), folder / "oof.parquet")
        write_table(finished, folder / "oof_postprocessed.parquet")
        _write_suspects(evaluator, oof_truth, finished, reader, folder)
        thresholds = evaluator.thresholds(oof_truth, finished)
        write_json(folder / "thresholds.json", thresholds)
        first, model = next(iter(base.folds.items()))
        judged = ResultsWriter(evaluator, thresholds, reader, folder)
        judged.add("oof", oof_truth, finished, raw)
        judged.notes["oof"] += describe_gains(fitted)
        judged.draw("oof", oof_truth, finished, raw)
        judged.explain("oof", model.model, inputs.fold(first)[1], finished, base.inputs.pack)
        judged.metrics["folds"] = {
            f"fold{number}": {task.score_name: _score(task, inputs.fold(number)[1], finished)} for number in base.folds
        }
        if len(members) > 1:
            judged.metrics["members"] = _write_members(members, oof, oof_truth, folder)
            judged.notes["oof"].append(_members_note(task, judged, fitted))
        if seen is not None:
            test = fuse_members(task, seen, fitted)
            write_table(test, folder / "test.parquet")
            _judge_test(judged, base, test_truth, task.finish(test, fitted, test_truth.ignored), test)
        _add_leakage(judged, inputs, base.folds)
        metrics = {"headline": judged.headline(), **judged.metrics}
        names = ascii_names([*inputs.classes, *filter(None, [settings.audit.negative])])
        judged.notes["oof"] += _renamed_note(names)
        write_json(folder / "metrics.json", without_nan(metrics))
        write_json(folder / "notes.json", judged.notes)
    _write_shown(metrics, paths)
    with open_tracker(root).run(f"train {settings.name}", experiment=settings.name, run_id=record["run_id"]) as tracked:
        _track(tracked, _tracked(metrics, names), paths.evaluate)
        register_models(tracked, settings, paths, inputs, record, fitted)
    return metrics


def _write_shown(metrics: dict[str, Any], paths: Paths) -> None:
    """Write metrics/T.json, for `dvc metrics show`: the score with its 95 % interval, and that out of fold."""
    headline = metrics["headline"]
    score = {"score": headline["value"], "low": headline["low"], "high": headline["high"]}
    write_json(paths.metrics, without_nan({**score, "out_of_fold": metrics["oof"][headline["name"]]}))
    copy_results(paths, {"metrics.json": paths.evaluate / "metrics.json"})


def _judge_test(
    judged: ResultsWriter, base: EnsembleMember, truth: GroundTruth, finished: pd.DataFrame, raw: pd.DataFrame
) -> None:
    """Measure and explain the predictions for test images that have a label, and draw those for all."""
    known = truth.labelled
    if len(known.images):
        first = next(iter(base.folds.values()))
        judged.add("test", known, finished, raw)
        judged.explain("test", first.model, known, finished, base.inputs.pack)
    judged.draw("test", truth, finished, raw)


def _write_suspects(
    evaluator: Evaluator, truth: GroundTruth, finished: pd.DataFrame, reader: ImageReader, folder: Path
) -> None:
    """Rank the labels that out-of-fold predictions contradict, and picture the first."""
    suspects = evaluator.label_issues(truth, finished)
    write_table(suspects, folder / "label_issues.csv", LABEL_ISSUES)
    most = evaluator.task.settings.evaluate.gallery_images
    label_issue_gallery(suspects, truth.images, truth.boxes, reader, folder / "label_issues.png", most)


def _add_leakage(judged: ResultsWriter, inputs: TaskData, folds: Iterable[int]) -> None:
    """Note what judged images share with those that were trained on; judge the test again without those that do.

    `folds` are the trained ones: an image of the only one was seen by no model.
    """
    images, dealt = inputs.truth.images, inputs.folds
    learned = {number: set(inputs.fold(number)[0].images["image_id"]) for number in folds}
    shared = [len(find_leaks(images, dealt[number], seen)) for number, seen in learned.items()]
    _note(judged, "oof", sum(shared), sum(len(dealt[number]) for number in learned), "out-of-fold")
    if "test" not in judged.metrics:
        return
    truth, finished, unfinished = judged.seen["test"]
    test = list(truth.images["image_id"])
    leaking = set(find_leaks(images, test, set().union(*learned.values())))
    judged.metrics["test_leaks"] = {"images": len(leaking), "of": len(test)}
    _note(judged, "test", len(leaking), len(test), "test")
    if 0 < len(leaking) < len(test):
        judged.add("test_without_leaks", truth.of([each for each in test if each not in leaking]), finished, unfinished)


def _note(judged: ResultsWriter, subset: str, shared: int, count: int, what: str) -> None:
    if shared:
        judged.notes[subset].insert(
            0,
            f"{shared:,} of {count:,} {what} images share their patient, slide or picture (group or duplicate) with "
            "images that a model judging them was trained on, so this score flatters.",
        )


def _write_members(
    members: list[EnsembleMember], oof: pd.DataFrame, truth: GroundTruth, folder: Path
) -> dict[str, Any]:
    """Keep each member's raw out-of-fold predictions; their scores, each alone and by its own measure."""
    scores = {}
    for member in members:
        alone = member_rows(member.task, oof, member.name)
        write_table(alone, folder / "members" / f"{member.name}.parquet")
        finished = member.task.finish(alone, ignored=truth.ignored)
        scores[member.name] = {member.task.score_name: _score(member.task, truth, finished)}
    return scores


def _members_note(task: Task, judged: ResultsWriter, fitted: dict[str, Any]) -> str:
    """What the ensemble makes of its members' scores."""
    name = task.score_name
    alone = ", ".join(
        f"{member} {format_numbers.score(value)}{'' if measure == name else f' ({measure})'}"
        for member, score in judged.metrics["members"].items()
        for measure, value in score.items()
    )
    weights = ", ".join(f"{member} {_weight(weight)}" for member, weight in fitted.get("weights", {}).items())
    how = f" with the weights {weights}" if weights else ""
    together = f"together {format_numbers.score(judged.metrics['oof'][name])}{how}"
    return (
        f"Members out of fold, each alone and before anything is learned from these predictions: {alone}; {together}."
    )


def _renamed_note(names: dict[str, str]) -> list[str]:
    """Which classes MLflow knows by another name."""
    told = [f"'{name}' is '{other}'" for name, other in names.items() if name != other]
    return [f"MLflow takes plain letters alone: in the names of its metrics, {', '.join(told)}."] if told else []


def _tracked(metrics: dict[str, Any], names: dict[str, str]) -> dict[str, float | None]:
    """The metrics of each set of images as MLflow names them."""
    found = {}
    for subset in ("oof", "test", "test_without_leaks"):
        for key, value in metrics.get(subset, {}).items():
            metric, slash, name = key.partition("/")
            found[f"{subset}/{metric}{slash}{names.get(name, name)}"] = value
    return found


def _weight(weight: float | dict[str, float]) -> str:
    """For all classes, or by class."""
    if isinstance(weight, dict):
        return "(" + ", ".join(f"{label} {each:.2f}" for label, each in weight.items()) + ")"
    return f"{weight:.2f}"


def _score(task: Task, truth: GroundTruth, predictions: pd.DataFrame) -> float:
    return task.score(truth, rows_of(truth, predictions))


def _track(run: Run, metrics: dict[str, float | None], folder: Path) -> None:
    """Add the results to the run of the training that they are of."""
    run.log_metrics(metrics)
    run.log_artifact(folder / "metrics.json", "evaluate")
    run.log_artifact(folder / "tables", "evaluate/tables")
    run.log_artifact(folder / "figures", "evaluate/figures")
