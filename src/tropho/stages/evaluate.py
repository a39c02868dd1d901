"""Evaluate: out-of-fold predictions, test predictions, every metric and figure for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator

from tropho.files import atomic_folder, read_json, write_json
from tropho.predicting.predictor import Predictor, load_predictor
from tropho.settings import TaskSettings
from tropho.stages.inputs import Inputs, read_inputs
from tropho.stages.paths import Paths
from tropho.tables import write_table
from tropho.tasks.base import Truth
from tropho.tracking import open_tracker
from tropho.training.fit import make_accelerator, predict


def run(settings: TaskSettings, root: Path) -> dict[str, Any]:
    """Evaluate the trained folds into reports/T/evaluate; returns what metrics.json says."""
    paths = Paths(root, settings.name)
    inputs = read_inputs(paths)
    record = read_json(paths.models / "run.json")
    accelerator = make_accelerator(settings.train)
    predictors = dict(_predictors(settings, paths, record))
    folds = {
        number: _predict(settings, predictor, inputs.fold(number)[1], inputs, accelerator)
        for number, predictor in predictors.items()
    }
    task = next(iter(predictors.values())).task
    test_truth = inputs.truth.of(inputs.test)
    test_tables = [_predict(settings, each, test_truth, inputs, accelerator) for each in predictors.values()]
    test = task.merge(test_tables) if inputs.test else None

    with atomic_folder(paths.evaluate) as folder:
        oof = pd.concat([table.assign(fold=number) for number, table in folds.items()], ignore_index=True)
        write_table(oof, folder / "oof.parquet")
        oof_truth = inputs.truth.of([each for number in folds for each in inputs.folds[number]])
        finished = task.finish(oof.drop(columns="fold"))
        thresholds = task.thresholds(oof_truth, finished)
        write_json(folder / "thresholds.json", thresholds)
        metrics: dict[str, Any] = {"oof": task.measure(oof_truth, finished)}
        metrics["folds"] = {
            f"fold{number}": {task.score_name: task.score(inputs.fold(number)[1], task.finish(table))}
            for number, table in folds.items()
        }
        task.figures(oof_truth, finished, thresholds, paths.raw, folder / "figures" / "oof")
        if test is not None:
            write_table(test, folder / "test.parquet")
            known = test_truth.labelled
            if len(known.images):
                rows = test["image_id"].isin(known.images["image_id"])
                metrics["test"] = task.measure(known, task.finish(test[rows].reset_index(drop=True)))
            task.figures(test_truth, task.finish(test), thresholds, paths.raw, folder / "figures" / "test")
        metrics = {"headline": _headline(metrics, task.score_name), **metrics}
        write_json(folder / "metrics.json", _json_safe(metrics))
    _track(settings, root, record["run_id"], metrics, paths.evaluate)
    return metrics


def _predictors(settings: TaskSettings, paths: Paths, record: dict[str, Any]) -> Iterator[tuple[int, Predictor]]:
    """The trained folds, with the present settings of predict and evaluate."""
    for fold in record["folds"]:
        predictor = load_predictor(paths.models / f"fold{fold['fold']}")
        trained = predictor.task.settings
        predictor.task.settings = trained.model_copy(
            update={"predict": settings.predict, "evaluate": settings.evaluate, "submit": settings.submit}
        )
        yield fold["fold"], predictor


def _predict(
    settings: TaskSettings, predictor: Predictor, truth: Truth, inputs: Inputs, accelerator: Accelerator
) -> pd.DataFrame:
    """One fold's predictions for these images, over every test-time view."""
    model = predictor.model.to(accelerator.device)
    size = settings.predict.batch_size
    tables = [
        predict(predictor.task, model, truth, inputs.pack, accelerator, size, view) for view in settings.predict.tta
    ]
    return predictor.task.merge(tables)


def _headline(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    on = "test" if "test" in metrics else "oof"
    return {"name": name, "value": metrics[on][name], "on": on}


def _json_safe(value: Any) -> Any:
    """NaN, which JSON has no word for, becomes null."""
    if isinstance(value, dict):
        return {key: _json_safe(each) for key, each in value.items()}
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - only NaN differs from itself
        return None
    return value


def _track(settings: TaskSettings, root: Path, run_id: str | None, metrics: dict[str, Any], folder: Path) -> None:
    """Add the results to the run of the training that they are of."""
    with open_tracker(root).run(f"train {settings.name}", experiment=settings.name, run_id=run_id) as tracked:
        for subset in ("oof", "test"):
            tracked.log_metrics({f"{subset}/{name}": value for name, value in metrics.get(subset, {}).items()})
        tracked.log_artifact(folder / "metrics.json", "evaluate")
        tracked.log_artifact(folder / "figures", "evaluate/figures")
