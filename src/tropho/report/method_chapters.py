"""Chapter on methods: the network, how it was trained, what was searched, every setting."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from tropho.config.task_config import SECTIONS
from tropho.config.train_config import TrainConfig
from tropho.metrics.metric_names import metric_name
from tropho.plots.format_numbers import as_number, count, duration, file_size, format_value, score
from tropho.plots.training_plots import plot_layer_stats, plot_learning_curves
from tropho.report.blocks import (
    Block,
    Details,
    Heading,
    KeyValues,
    List,
    Network,
    Section,
    Table,
    Text,
    chart,
    figures,
    missing_stage,
)
from tropho.report.own_words import own_words
from tropho.report.reader import Reader
from tropho.report.training_words import training_sentences

MAX_TRIALS = 10
MARGIN_OF_CHANCE = 0.05
"""A search whose best score is no further above chance than this has chosen by chance."""
N_RATES = 500
"""Points of the curve of the learning rate."""
AFTER_TRAINING = ("predict", "evaluate", "submit", "report")


def methods(reader: Reader) -> Section:
    """Show the network, each fold's result, the learning curves, the search and all settings."""
    from tropho.report.network import network_cards

    hint = own_words(reader, "methods", "Why this model? What else was tried, and why not kept?")
    run, histories = reader.json(reader.paths.models / "run.json"), _histories(reader)
    if not run and not histories:
        missing = missing_stage("train", reader.task.name, "No model has been trained")
        return Section("methods", "Methods", [missing, *tuning(reader), *hint])
    settings = used_settings(reader)
    blocks: list[Block] = [KeyValues(_about(run, settings, reader))]
    if cards := network_cards(reader):
        blocks += [Heading("The network, layer by layer"), Network(cards)]
    blocks += [Heading("Training"), List(training_sentences(reader.task.kind, settings)), *_folds(run)]
    if (curves := plot_learning_curves(histories, _rates(histories, settings))) is None:
        blocks.append(Text("No epoch has been recorded."))
    else:
        blocks.extend(chart(curves, "learning_curves"))
    if (layers := plot_layer_stats(histories)) is not None:
        blocks.extend(chart(layers, "layer_stats"))
    blocks += [*tuning(reader), *hint]
    blocks += _all_settings(settings, reader.yaml(reader.paths.root / "params.yaml").get("defaults"))
    return Section("methods", "Methods", blocks)


def tuning(reader: Reader) -> list[Block]:
    """Show the search, its best trials and the chosen settings; say so if there was none."""
    folder, title = reader.paths.search, Heading("Which settings were searched")
    trials = reader.table(folder / "trials.csv")
    choice = reader.yaml(reader.paths.choice)
    if (trials is None or trials.empty) and not choice:
        if not reader.task.tune.trials:
            return [title, Text("None: all settings are given (tune.trials is 0).")]
        return [title, missing_stage("tune", reader.task.name, "The search has not been run")]
    blocks: list[Block] = [title]
    images = reader.json(folder / "choice.json").get("images")
    if isinstance(images, dict):
        blocks.append(
            Text(
                f"Optuna's TPE sampler drew the settings of each trial. A trial was trained on "
                f"{count(images.get('train'))} images and scored on {count(images.get('judge'))} others; no group is "
                "in both. All are training images of the first fold, so neither its validation images nor the test "
                "images influenced the choice."
            )
        )
    blocks += _near_chance(trials, reader)
    if choice:
        rows = [[str(key), _searched(reader, key), format_value(value)] for key, value in choice.items()]
        title_text = f"Chosen settings{_used_in_training(choice, reader)}"
        blocks.append(Table(title_text, ["setting", "searched", "chosen"], rows, numbers_from=3))
    if trials is not None and len(trials):
        blocks.extend(_trials(trials))
    return [*blocks, *figures(reader.pictures(folder))]


def _near_chance(trials: pd.DataFrame | None, reader: Reader) -> list[Block]:
    """Warn if the best trial is no better than a guess."""
    classes = reader.json(reader.paths.audit / "summary.json").get("classes")
    if trials is None or "score" not in trials or not isinstance(classes, list) or not classes:
        return []
    best = pd.to_numeric(trials["score"], errors="coerce").max()
    chance = 1 / len(classes) if reader.task.kind == "classification" else 0.0
    if pd.isna(best) or best > chance + MARGIN_OF_CHANCE:
        return []
    return [
        Text(
            f"The best trial scores {score(best)}, and guessing scores {score(chance)}: these trials are too short to "
            "tell settings apart. Raise tune.epochs or tune.max_train_images, or set tune.trials to 0.",
            warn=True,
        )
    ]


def _searched(reader: Reader, key: str) -> str:
    """Say where a setting was searched: a range or its choices."""
    spec = reader.task.tune.space.get(key)
    if not isinstance(spec, dict):
        return "–"
    if "choices" in spec:
        return format_value(spec["choices"])
    span = f"{format_value(spec.get('low'))} to {format_value(spec.get('high'))}"
    return f"{span}, logarithmic" if spec.get("log") else span


def _used_in_training(choice: dict[str, Any], reader: Reader) -> str:
    """Say whether the models were trained with the chosen values; empty if their settings are not recorded."""
    trained = trained_settings(reader)
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
    title = f"The best {len(rows)} trials (numbered from 0)"
    return [*blocks, Table(title, ["trial", "score", *settings], rows)]


def _histories(reader: Reader) -> dict[str, pd.DataFrame]:
    """Read history.csv of each fold, by the fold's name."""
    paths = sorted(reader.paths.models.glob("fold*/history.csv"), key=lambda path: (len(str(path)), path))
    tables = {path.parent.name.replace("fold", "fold "): reader.table(path) for path in paths}
    return {name: table for name, table in tables.items() if table is not None and len(table)}


def used_settings(reader: Reader) -> dict[str, Any]:
    """Settings that the models were trained with, and the present ones of the stages after training."""
    present = reader.task.model_dump()
    return {**present, **(trained_settings(reader) or {}), **{name: present[name] for name in AFTER_TRAINING}}


def trained_settings(reader: Reader) -> dict[str, Any] | None:
    """Read the settings that the models were trained with; None if they are not recorded."""
    for path in sorted(reader.paths.models.glob("fold*/config.yaml")):
        saved = reader.yaml(path).get("settings")
        if isinstance(saved, dict) and isinstance(saved.get("train"), dict):
            checkpoint = saved.get("model", {}).get("checkpoint")
            if isinstance(checkpoint, dict):  # with the network's whole configuration
                saved["model"]["checkpoint"] = f"{checkpoint.get('name')} ({checkpoint.get('revision')})"
            return saved
    return None


def _rates(histories: dict[str, pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame | None:
    """Compute the learning rate within the epochs, which one value an epoch hides; None if it depends on scores."""
    from tropho.training.optim import lr_at

    try:
        train = TrainConfig.model_validate(settings.get("train"))
    except ValidationError:  # of another version
        return None
    if train.schedule == "plateau" or not histories:
        return None
    last = max(len(table) for table in histories.values())
    epochs = np.linspace(0, last, N_RATES)
    return pd.DataFrame({"epoch": epochs, "lr": [lr_at(train, float(epoch)) for epoch in epochs]})


def _about(run: dict[str, Any], settings: dict[str, Any], reader: Reader) -> list[tuple[str, str]]:
    """Network, parameters, file size, time and device, as far as they are known."""
    model = settings.get("model", {})
    network, backbone = str(model.get("name", "")), model.get("backbone")
    if network == "hf_detr":
        network = f"hf_detr from {model.get('checkpoint')}"
    elif backbone and reader.task.model.model_copy(update=model).has_backbone:
        network = backbone if network == "resnet" else f"{network} with {backbone}"
    weights: list[Path] = sorted(reader.paths.models.glob("fold*/weights.safetensors"))
    seconds = [number for fold in folds_of(run) if (number := as_number(fold.get("seconds"))) is not None]
    parameters = as_number(run.get("parameters"))
    facts = {
        "network": network,
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
    return (
        [Table("Training of each fold", ["fold", f"best {metric}", "at epoch", "epochs", "time"], rows, note=note)]
        if rows
        else []
    )


def _all_settings(settings: dict[str, Any], defaults: Any) -> list[Block]:
    """List the settings that are not the project's defaults, and all of them."""
    if not isinstance(defaults, dict):
        defaults = {}
        note = "params.yaml is not here, so the settings can't be compared with the defaults."
    else:
        note = ""
    rows, changed = [], []
    for section in SECTIONS:
        before, now = defaults.get(section), settings.get(section)
        for key, value in now.items() if isinstance(now, dict) else ():
            default = before.get(key, value) if isinstance(before, dict) else value
            rows.append([f"{section}.{key}", format_value(value)])
            if default != value:
                changed.append([*rows[-1], format_value(default)])
    title = "Settings that differ from the defaults"
    blocks: list[Block] = [Table(title, ["setting", "this run", "default"], changed, 3)] if changed else []
    if not changed:
        blocks.append(Text(note or "Every setting is at its default."))
    return [*blocks, Details("Every setting", [Table("", ["setting", "value"], rows, 2)], printed=True)]
