"""Chapter on methods: the network, how it was trained, what was searched, every setting."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.filesize import decimal

from tropho.config.task_config import SECTIONS
from tropho.config.train_config import TrainConfig
from tropho.metrics.metric_names import metric_name
from tropho.plots.format_numbers import count, duration, format_value, score
from tropho.plots.training_plots import plot_layer_stats, plot_learning_curves
from tropho.report.blocks import (
    Block,
    Details,
    Heading,
    KeyValues,
    List,
    Network,
    Table,
    Text,
    chart,
    figures,
    missing_stage,
)
from tropho.report.own_words import own_words
from tropho.report.reader import Reader, render_lines, say

MAX_TRIALS = 10
MARGIN_OF_CHANCE = 0.05
"""A search whose best score is no further above chance than this has chosen by chance."""
N_RATES = 500
"""Points of the curve of the learning rate."""
AFTER_TRAINING = ("predict", "evaluate", "submit", "report")


def methods(reader: Reader) -> list[Block]:
    """Show the network, each fold's result, the learning curves, the search and all settings."""
    from tropho.report.network import network_layers

    words = own_words(reader, "methods")
    run, histories = reader.run, _histories(reader)
    if not run and not histories:
        return [missing_stage("train", reader.task.name, "No model has been trained"), *tuning(reader), words]
    settings = used_settings(reader)
    blocks: list[Block] = [KeyValues(_about(run, settings, reader))]
    if layers := network_layers(reader):
        blocks += [Heading("The network, layer by layer"), Network(layers)]
    blocks += [
        Heading("Training"),
        List(training_sentences(reader.task.kind, settings["model"], settings["train"])),
        *_folds(run),
    ]
    curves = plot_learning_curves(histories, _rates(histories, settings))
    blocks += chart(curves, "learning_curves") or [Text("No epoch has been recorded.")]
    blocks += chart(plot_layer_stats(histories), "layer_stats")
    return [*blocks, *tuning(reader), words, *_all_settings(settings, reader.defaults)]


def training_sentences(kind: str, model: dict[str, Any], train: dict[str, Any]) -> list[str]:
    """Describe initial weights, loss, optimiser, schedule, regularisation and the choice of the epoch.

    Args:
        kind: of the task.
        model: settings of the section `model`.
        train: of the section `train`.
    """
    return render_lines("training.j2", kind=kind, model=model, train=train)


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
    if images:
        blocks.append(Text(say("search", train=count(images["train"]), judge=count(images["judge"]))))
    if trials is not None:
        blocks += _near_chance(trials, reader)
    if not choice and reader.paths.choice.exists():
        blocks.append(Text("No trial was clearly better than guessing, so the given settings were kept."))
    if choice:
        rows = [[str(key), _searched(reader, key), format_value(value)] for key, value in choice.items()]
        title_text = f"Chosen settings{_used_in_training(choice, reader)}"
        blocks.append(Table(title_text, ["setting", "searched", "chosen"], rows, numbers_from=3))
    if trials is not None and len(trials):
        blocks.extend(_trials(trials))
    return [*blocks, *figures(reader.pictures(folder))]


def _near_chance(trials: pd.DataFrame, reader: Reader) -> list[Block]:
    """Warn if the best trial is no better than a guess."""
    best, chance = trials["score"].max(), reader.chance
    if pd.isna(best) or best > chance + MARGIN_OF_CHANCE:
        return []
    return [Text(say("near_chance", best=score(best), chance=score(chance)), warn=True)]


def _searched(reader: Reader, key: str) -> str:
    """Say where a setting was searched: a range or its choices."""
    spec = reader.task.tune.space.get(key)
    if spec is None:
        return "–"
    if "choices" in spec:
        return format_value(spec["choices"])
    span = f"{format_value(spec['low'])} to {format_value(spec['high'])}"
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
    states = ", ".join(f"{count(n)} {state}" for state, n in trials["state"].value_counts().items())
    settings = [str(name) for name in trials if "." in str(name)]
    best = trials.dropna(subset=["score"]).sort_values("score", ascending=False, kind="stable").head(MAX_TRIALS)
    rows = [
        [format_value(row["number"]), score(row["score"]), *(format_value(row[name]) for name in settings)]
        for row in best.to_dict("records")
    ]
    title = f"The best {len(rows)} trials (numbered from 0)"
    return [Text(f"{count(len(trials))} trials: {states}."), Table(title, ["trial", "score", *settings], rows)]


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
        if saved := reader.yaml(path).get("settings"):
            checkpoint = saved["model"]["checkpoint"]
            if isinstance(checkpoint, dict):  # with the network's whole configuration
                saved["model"]["checkpoint"] = f"{checkpoint['name']} ({checkpoint['revision']})"
            return dict(saved)
    return None


def _rates(histories: dict[str, pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame | None:
    """Compute the learning rate within the epochs, which one value an epoch hides; None if it depends on scores."""
    from tropho.training.optim import lr_at

    train = TrainConfig.model_validate(settings["train"])
    if train.schedule == "plateau" or not histories:
        return None
    last = max(len(table) for table in histories.values())
    epochs = np.linspace(0, last, N_RATES)
    return pd.DataFrame({"epoch": epochs, "lr": [lr_at(train, float(epoch)) for epoch in epochs]})


def _about(run: dict[str, Any], settings: dict[str, Any], reader: Reader) -> list[tuple[str, str]]:
    """Network, parameters, file size, time and device, as far as they are known."""
    model = settings["model"]
    network, backbone = model["name"], model["backbone"]
    if network == "hf_detr":
        network = f"hf_detr from {model['checkpoint']}"
    elif backbone and reader.task.model.model_copy(update=model).has_backbone:
        network = backbone if network == "resnet" else f"{network} with {backbone}"
    weights: list[Path] = sorted(reader.paths.models.glob("fold*/weights.safetensors"))
    seconds = [fold["seconds"] for fold in run.get("folds", [])]
    parameters = run.get("parameters")
    facts = {
        "network": network,
        "parameters": f"{parameters / 1e6:.2f} million" if parameters else "",
        "weights of a fold": decimal(weights[0].stat().st_size) if weights else "",
        "training time": duration(sum(seconds)) if seconds else "",
        "device": str(run.get("device") or ""),
    }
    return [(name, value) for name, value in facts.items() if value]


def _folds(run: dict[str, Any]) -> list[Block]:
    """One row a fold: best score, its epoch, epochs, time; mean and deviation below."""
    if not run:
        return []
    rows = []
    for fold in run["folds"]:
        epochs = [format_value(fold[key]) for key in ("best_epoch", "epochs")]
        rows.append([f"fold {fold['fold']}", score(fold["score"]), *epochs, duration(fold["seconds"])])
    scores = pd.Series([fold["score"] for fold in run["folds"]], dtype="float64").dropna()
    note = f"Mean {score(scores.mean())}, standard deviation {score(scores.std())}." if len(scores) > 1 else ""
    columns = ["fold", f"best {metric_name(run['score_name'])}", "at epoch", "epochs", "time"]
    return [Table("Training of each fold", columns, rows, note=note)]


def _all_settings(settings: dict[str, Any], defaults: dict[str, Any]) -> list[Block]:
    """List the settings that are not the project's defaults, and all of them."""
    rows, changed = [], []
    for section in SECTIONS:
        for key, value in settings.get(section, {}).items():
            default = defaults.get(section, {}).get(key, value)
            rows.append([f"{section}.{key}", format_value(value)])
            if default != value:
                changed.append([*rows[-1], format_value(default)])
    first: Block = Table("Settings that differ from the defaults", ["setting", "this run", "default"], changed, 3)
    if not defaults:
        first = Text("params.yaml is not here, so the settings can't be compared with the defaults.")
    elif not changed:
        first = Text("Every setting is at its default.")
    return [first, Details("Every setting", [Table("", ["setting", "value"], rows, 2)], printed=True)]
