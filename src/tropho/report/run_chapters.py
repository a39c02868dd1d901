"""The page's chapters on runs: what the search chose, and how training went."""

from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.task_config import SECTIONS, TaskConfig
from tropho.plots import format_numbers, style
from tropho.plots.layer_plots import layers_of
from tropho.plots.metric_names import metric_name
from tropho.plots.training_plots import learning_curves
from tropho.report.block_builders import figures, pictures_block, todo
from tropho.report.blocks import Block, KeyValues, Section, Table, Text
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader

BEST_TRIALS = 10


def tuning(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section | None:
    """What was searched, the best trials and what was chosen; None where no search was asked for or made."""
    trials = reader.table(folders.search / "trials.csv")
    choice = reader.yaml(folders.choice) or reader.yaml(folders.search / "choice.yaml")
    if (trials is None or trials.empty) and not choice:
        if not settings.tune.trials:
            return None
        return Section("tuning", "Tuning", [todo("tune", settings.name, "The search has not been run")])
    section = Section("tuning", "Tuning")
    if choice:
        rows = [[str(key), format_numbers.format_value(value)] for key, value in choice.items()]
        title = f"What was chosen{_whether_used(choice, folders.models, reader)}"
        section.blocks.append(Table(title, ["setting", "value"], rows))
    section.blocks.extend(_judges(reader.json(folders.search / "choice.json").get("images")))
    if trials is not None and len(trials):
        section.blocks.extend(_trials(trials))
    section.blocks.extend(figures(reader.pictures(folders.search), album))
    return section


def _whether_used(choice: dict[str, Any], models: Path, reader: Reader) -> str:
    """Say whether the trained models have the chosen values; nothing where no training is recorded."""
    trained = _trained_settings(models, reader)
    if trained is None:
        return ""
    same = all(trained.get(section, {}).get(key) == value for (section, key), value in _by_section(choice))
    return ", and training used" if same else "; the models were trained with other values"


def _by_section(choice: dict[str, Any]) -> list[tuple[tuple[str, str], Any]]:
    parts = [(str(key).partition("."), value) for key, value in choice.items()]
    return [((section, key), value) for (section, _, key), value in parts]


def _judges(images: Any) -> list[Block]:
    """Say which images chose."""
    if not isinstance(images, dict):
        return []
    return [
        Text(
            f"Each trial was trained on {format_numbers.count(images.get('train'))} images and judged by "
            f"{format_numbers.count(images.get('judge'))} others of whole groups, all of them training images of the "
            "first fold: neither its validation images nor the test images chose anything."
        )
    ]


def _trials(trials: pd.DataFrame) -> list[Block]:
    """How many trials ended how, and the best ones with their settings."""
    blocks: list[Block] = []
    if "state" in trials:
        states = trials["state"].astype(str).str.rpartition(".")[2].str.lower().value_counts()
        told = ", ".join(f"{format_numbers.count(number)} {state}" for state, number in states.items())
        blocks.append(Text(f"{format_numbers.count(len(trials))} trials: {told}."))
    value = next((name for name in ("value", "score", "values_0") if name in trials), None)
    if value is None:
        return blocks
    searched = [name for name in trials if str(name).startswith("params_") or "." in str(name)]
    best = trials.assign(**{value: pd.to_numeric(trials[value], errors="coerce")}).dropna(subset=[value])
    best = best.sort_values(value, ascending=False, kind="stable").head(BEST_TRIALS)
    rows = [
        [
            format_numbers.format_value(row.get("number", place)),
            format_numbers.score(row[value]),
            *(format_numbers.format_value(row[name]) for name in searched),
        ]
        for place, row in enumerate(best.to_dict("records"))
    ]
    columns = ["trial", "score", *(str(name).removeprefix("params_") for name in searched)]
    blocks.append(Table(f"The best {len(rows)} trials", columns, rows))
    return blocks


def training(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section:
    """The settings that differ from the defaults, each fold's outcome, and the learning curves."""
    section = Section("training", "Training")
    run = reader.json(folders.models / "run.json")
    histories = _histories(folders.models, reader)
    if not run and not histories:
        section.blocks.append(todo("train", settings.name, "No model has been trained"))
        return section
    used = _used_settings(settings, folders.models, reader)
    section.blocks.append(KeyValues(_about(run, used, folders.models)))
    section.blocks.extend(_folds(run, str(run.get("score_name", "score"))))
    curves = learning_curves(histories, "score")
    if curves is None:
        section.blocks.append(Text("No epoch has been recorded."))
    else:
        alt = f"Training loss, validation score and learning rate over the epochs, {len(histories)} fold(s)."
        picture = album.add(style.png_bytes(curves), "Learning curves; the best epoch is marked", alt)
        section.blocks.extend(pictures_block([picture] if picture else []))
    if (inside := layers_of(histories)) is not None:
        alt = (
            "Gradient norms, output deviations and idle activations of each layer at the first, middle and last epoch."
        )
        picture = album.add(style.png_bytes(inside), "Inside the network, layer by layer", alt)
        section.blocks.extend(pictures_block([picture] if picture else []))
    section.blocks.append(_differences(used, reader.yaml(folders.params).get("defaults")))
    return section


def _histories(models: Path, reader: Reader) -> dict[str, pd.DataFrame]:
    found = {}
    for path in sorted(models.glob("fold*/history.csv"), key=lambda each: (len(each.parent.name), each.parent.name)):
        table = reader.table(path)
        if table is not None and len(table):
            found[path.parent.name.replace("fold", "fold ")] = table
    return found


def _used_settings(settings: TaskConfig, models: Path, reader: Reader) -> dict[str, Any]:
    """What the model was trained with, search included; the present settings of what comes after training."""
    present = settings.model_dump()
    later = {name: present[name] for name in ("predict", "evaluate", "submit", "report")}
    return {**present, **(_trained_settings(models, reader) or {}), **later}


def _trained_settings(models: Path, reader: Reader) -> dict[str, Any] | None:
    """Read the settings that the models were trained with; None where they are not recorded."""
    for path in [models / "config.yaml", *sorted(models.glob("fold*/config.yaml"))]:
        saved = reader.yaml(path)
        saved = saved.get("settings", saved)
        if isinstance(saved, dict) and isinstance(saved.get("train"), dict):
            return saved
    return None


def _about(run: dict[str, Any], used: dict[str, Any], models: Path) -> list[tuple[str, str]]:
    model = used.get("model", {})
    network = " on ".join(dict.fromkeys(str(model[key]) for key in ("name", "backbone") if model.get(key)))
    weights = [path.stat().st_size for path in sorted(models.glob("fold*/weights.safetensors"))]
    seconds = [format_numbers.as_number(fold.get("seconds")) for fold in folds_of(run)]
    known = [each for each in seconds if each is not None]
    facts = {
        "network": network,
        "parameters": f"{parameters / 1e6:.2f} million"
        if (parameters := format_numbers.as_number(run.get("parameters")))
        else "",
        "weights of a fold": format_numbers.size(weights[0]) if weights else "",
        "training time": format_numbers.duration(sum(known)) if known else "",
        "device": str(run.get("device") or ""),
    }
    return [(name, value) for name, value in facts.items() if value]


def folds_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The folds that run.json lists."""
    folds = run.get("folds")
    return [fold for fold in folds if isinstance(fold, dict)] if isinstance(folds, list) else []


def _folds(run: dict[str, Any], score_name: str) -> list[Block]:
    folds = folds_of(run)
    rows = [
        [
            f"fold {fold.get('fold', place)}",
            format_numbers.score(fold.get("score")),
            format_numbers.format_value(fold.get("best_epoch")),
            format_numbers.format_value(fold.get("epochs")),
            format_numbers.duration(fold.get("seconds")),
        ]
        for place, fold in enumerate(folds)
    ]
    scores = pd.Series([format_numbers.as_number(fold.get("score")) for fold in folds], dtype="float64").dropna()
    note = ""
    if len(scores) > 1:
        note = f"Mean {format_numbers.score(scores.mean())}, standard deviation {format_numbers.score(scores.std())}."
    columns = ["fold", f"best {metric_name(score_name)}", "at epoch", "epochs", "time"]
    return [Table("Folds", columns, rows, note=note)] if rows else []


def _differences(used: dict[str, Any], defaults: Any) -> Block:
    """Settings of this training that are not the project's defaults."""
    if not isinstance(defaults, dict):
        return Text("params.yaml is not here, so the settings can't be compared with the defaults.")
    rows = []
    for section in SECTIONS:
        before, now = defaults.get(section), used.get(section)
        if not isinstance(before, dict) or not isinstance(now, dict):
            continue
        for key, value in now.items():
            if before.get(key) != value:
                rows.append(
                    [
                        f"{section}.{key}",
                        format_numbers.format_value(value),
                        format_numbers.format_value(before.get(key)),
                    ]
                )
    if not rows:
        return Text("Every setting is at its default.")
    return Table("Settings that differ from the defaults", ["setting", "this run", "default"], rows, numbers_from=9)
