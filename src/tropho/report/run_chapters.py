"""Chapters on runs: tuning and training."""

from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import SECTIONS
from tropho.plots.format_numbers import as_number, count, duration, file_size, format_value, metric_name, score
from tropho.plots.training_plots import plot_layer_stats, plot_learning_curves
from tropho.report.blocks import Block, KeyValues, Section, Table, Text, chart, figures, missing_stage
from tropho.report.reader import Reader

MAX_TRIALS = 10
AFTER_TRAINING = ("predict", "evaluate", "submit", "report")


def tuning(reader: Reader) -> Section | None:
    """Show the search, its best trials and the chosen settings; None if no search was asked for or made."""
    folder = reader.paths.search
    trials = reader.table(folder / "trials.csv")
    choice = reader.yaml(reader.paths.choice)
    if (trials is None or trials.empty) and not choice:
        if not reader.task.tune.trials:
            return None
        return Section("tuning", "Tuning", [missing_stage("tune", reader.task.name, "The search has not been run")])
    blocks: list[Block] = []
    if choice:
        rows = [[str(key), format_value(value)] for key, value in choice.items()]
        blocks.append(Table(f"Chosen settings{_used_in_training(choice, reader)}", ["setting", "value"], rows))
    images = reader.json(folder / "choice.json").get("images")
    if isinstance(images, dict):
        blocks.append(
            Text(
                f"Each trial was trained on {count(images.get('train'))} images and scored on "
                f"{count(images.get('judge'))} others; no group is in both. All are training images of the first fold, "
                "so neither its validation images nor the test images influenced the choice."
            )
        )
    if trials is not None and len(trials):
        blocks.extend(_trials(trials))
    blocks.extend(figures(reader.pictures(folder)))
    return Section("tuning", "Tuning", blocks)


def _used_in_training(choice: dict[str, Any], reader: Reader) -> str:
    """Say whether the models were trained with the chosen values; empty if their settings are not recorded."""
    trained = _trained_settings(reader)
    if trained is None:
        return ""
    parts = [(*str(key).partition(".")[::2], value) for key, value in choice.items()]
    if all(trained.get(section, {}).get(key) == value for section, key, value in parts):
        return ", used in training"
    return "; the models were trained with other values"


def _trials(trials: pd.DataFrame) -> list[Block]:
    """Count the trials by how they ended, and list the best ones with their settings."""
    blocks: list[Block] = []
    if "state" in trials:
        states = ", ".join(f"{count(n)} {state}" for state, n in trials["state"].value_counts().items())
        blocks.append(Text(f"{count(len(trials))} trials: {states}."))
    if not {"number", "score"} <= set(trials):
        return blocks
    settings = [str(name) for name in trials if "." in str(name)]
    best = trials.assign(score=pd.to_numeric(trials["score"], errors="coerce")).dropna(subset=["score"])
    best = best.sort_values("score", ascending=False, kind="stable").head(MAX_TRIALS)
    rows = [
        [format_value(row["number"]), score(row["score"]), *(format_value(row[name]) for name in settings)]
        for row in best.to_dict("records")
    ]
    return [*blocks, Table(f"The best {len(rows)} trials", ["trial", "score", *settings], rows)]


def training(reader: Reader) -> Section:
    """Show each fold's result, the learning curves, and the settings that differ from the defaults."""
    blocks: list[Block] = []
    run, histories = reader.json(reader.paths.models / "run.json"), _histories(reader)
    if not run and not histories:
        return Section("training", "Training", [missing_stage("train", reader.task.name, "No model has been trained")])
    settings = _used_settings(reader)
    blocks.append(KeyValues(_about(run, settings, reader)))
    blocks.extend(_folds(run))
    if (curves := plot_learning_curves(histories)) is None:
        blocks.append(Text("No epoch has been recorded."))
    else:
        blocks.extend(chart(curves, "learning_curves"))
    if (layers := plot_layer_stats(histories)) is not None:
        blocks.extend(chart(layers, "layer_stats"))
    blocks.append(_changed_settings(settings, reader.yaml(reader.paths.root / "params.yaml").get("defaults")))
    return Section("training", "Training", blocks)


def _histories(reader: Reader) -> dict[str, pd.DataFrame]:
    """Read history.csv of each fold, by the fold's name."""
    paths = sorted(reader.paths.models.glob("fold*/history.csv"), key=lambda path: (len(str(path)), path))
    tables = {path.parent.name.replace("fold", "fold "): reader.table(path) for path in paths}
    return {name: table for name, table in tables.items() if table is not None and len(table)}


def _used_settings(reader: Reader) -> dict[str, Any]:
    """Settings that the models were trained with, and the present ones of the stages after training."""
    present = reader.task.model_dump()
    return {**present, **(_trained_settings(reader) or {}), **{name: present[name] for name in AFTER_TRAINING}}


def _trained_settings(reader: Reader) -> dict[str, Any] | None:
    """Read the settings that the models were trained with; None if they are not recorded."""
    for path in sorted(reader.paths.models.glob("fold*/config.yaml")):
        saved = reader.yaml(path).get("settings")
        if isinstance(saved, dict) and isinstance(saved.get("train"), dict):
            checkpoint = saved.get("model", {}).get("checkpoint")
            if isinstance(checkpoint, dict):  # with the network's whole configuration
                saved["model"]["checkpoint"] = f"{checkpoint.get('name')} ({checkpoint.get('revision')})"
            return saved
    return None


def _about(run: dict[str, Any], settings: dict[str, Any], reader: Reader) -> list[tuple[str, str]]:
    """Network, parameters, file size, time and device, as far as they are known."""
    model = settings.get("model", {})
    network = [str(model.get("name", ""))]
    if model.get("name") == "hf_detr":
        network.append(f"from {model.get('checkpoint')}")
    elif reader.task.model.model_copy(update=model).has_backbone and model.get("backbone") not in (None, *network):
        network.append(f"with {model['backbone']}")
    weights: list[Path] = sorted(reader.paths.models.glob("fold*/weights.safetensors"))
    seconds = [number for fold in folds_of(run) if (number := as_number(fold.get("seconds"))) is not None]
    parameters = as_number(run.get("parameters"))
    facts = {
        "network": " ".join(network),
        "parameters": f"{parameters / 1e6:.2f} million" if parameters else "",
        "weights of a fold": file_size(weights[0].stat().st_size) if weights else "",
        "training time": duration(sum(seconds)) if seconds else "",
        "device": str(run.get("device") or ""),
    }
    return [(name, value) for name, value in facts.items() if value]


def folds_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """List the folds that run.json describes."""
    folds = run.get("folds")
    return [fold for fold in folds if isinstance(fold, dict)] if isinstance(folds, list) else []


def _folds(run: dict[str, Any]) -> list[Block]:
    """One row a fold: best score, its epoch, epochs, time; mean and deviation below."""
    folds = folds_of(run)
    rows = [
        [
            f"fold {fold.get('fold', i)}",
            score(fold.get("score")),
            format_value(fold.get("best_epoch")),
            format_value(fold.get("epochs")),
            duration(fold.get("seconds")),
        ]
        for i, fold in enumerate(folds)
    ]
    scores = pd.Series([as_number(fold.get("score")) for fold in folds], dtype="float64").dropna()
    note = f"Mean {score(scores.mean())}, standard deviation {score(scores.std())}." if len(scores) > 1 else ""
    metric = metric_name(str(run.get("score_name", "score")))
    return [Table("Folds", ["fold", f"best {metric}", "at epoch", "epochs", "time"], rows, note=note)] if rows else []


def _changed_settings(settings: dict[str, Any], defaults: Any) -> Block:
    """List the settings of this training that are not the project's defaults."""
    if not isinstance(defaults, dict):
        return Text("params.yaml is not here, so the settings can't be compared with the defaults.")
    rows = []
    for section in SECTIONS:
        before, now = defaults.get(section), settings.get(section)
        if isinstance(before, dict) and isinstance(now, dict):
            changed = {key: value for key, value in now.items() if before.get(key) != value}
            rows += [
                [f"{section}.{key}", format_value(value), format_value(before.get(key))]
                for key, value in changed.items()
            ]
    if not rows:
        return Text("Every setting is at its default.")
    return Table("Settings that differ from the defaults", ["setting", "this run", "default"], rows, numbers_from=3)
