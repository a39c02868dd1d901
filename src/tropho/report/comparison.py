"""Chapters on what others reported, and on this run against guessing, other runs and published figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.task_config import SECTIONS
from tropho.data.task_data import GroundTruth
from tropho.files import read_yaml
from tropho.inference.trained_folds import CONFIG, read_config
from tropho.metrics.classification_metrics import classification_metrics
from tropho.metrics.metric_names import metric_name
from tropho.plots.format_numbers import as_number, format_value, score
from tropho.report.blocks import Block, List, Table, Text, bullets, missing_stage
from tropho.report.metric_tables import SUBSETS, intervals, with_interval
from tropho.report.own_words import read_words
from tropho.report.reader import Reader, say
from tropho.tables import BOX, DETECTIONS, conform, split_regions
from tropho.tasks.detection_task import DetectionTask

LITERATURE = Path(__file__).with_name("literature.yaml")
LEAKS = {"yes": "shared with training", "no": "kept apart", "unknown": "not stated"}
MAX_RUNS = 30
"""Other runs that are listed, the best ones."""
MAX_CHANGES = 6
"""Settings that are named of another run."""
BESIDE = {"classification": ("accuracy", "f1", "roc_auc"), "detection": ("map50", "map50_95")}
"""Metrics that are compared, after the primary one."""
LATER = ("predict", "evaluate", "submit", "report", "tune")
"""Sections that don't shape a model."""


def _known_literature(reader: Reader) -> dict[str, Any]:
    """Look up what is known of the task's data set; {} if nothing is."""
    return dict(read_yaml(LITERATURE).get(str(reader.task.download.repo), {}))


def literature(reader: Reader) -> list[Block]:
    """Show what has been done on these data."""
    if known := _known_literature(reader):
        return [List(known["sentences"]), *published_figures(reader)]
    if read_words(reader, "literature"):
        return []
    if reader.task.download.source == "generator":
        return [Text("The images are generated, so nothing has been published on them.")]
    return [Text("Tropho knows no published results on this data set.")]


def published_figures(reader: Reader) -> list[Block]:
    """Tabulate published figures, with whether their test is apart from training; empty if none are known."""
    known = _known_literature(reader)
    if not known:
        return []
    rows = [[row["who"], row["method"], LEAKS[row["leaks"]], row["score"]] for row in known["figures"]]
    columns = ["who or which split", "method", "patients or pictures of the test", known["metric"]]
    return [Table("Published figures", columns, rows, 3, say("leaky_figures"))]


def discussion(reader: Reader) -> list[Block]:
    """Compare the result with guessing, with other runs and with published figures."""
    metrics = reader.metrics
    if not metrics:
        return [missing_stage("evaluate", reader.task.name, "Nothing has been measured")]
    blocks: list[Block] = [*_against_guessing(metrics, reader), *_other_runs(metrics, reader)]
    blocks += published_figures(reader)
    notes = reader.json(reader.paths.evaluate / "notes.json")
    for subset, title in SUBSETS.items():
        blocks.extend(bullets(notes.get(subset), f"Notes on the results, {title}:"))
    return blocks


def _against_guessing(metrics: dict[str, Any], reader: Reader) -> list[Block]:
    """Put the result beside that of guessing on the same images."""
    name, subset = metrics["headline"]["name"], metrics["headline"]["subset"]
    names = [name, *(other for other in BESIDE[reader.task.kind] if other in metrics[subset])]
    spans = intervals(reader, subset)
    guess, how = guessed_metrics(reader, subset)
    rows = []
    for key in names:
        guessed = [score(guess[key]) if key in guess else "–"] if guess else []
        rows.append([metric_name(key), with_interval(key, metrics[subset].get(key), spans.get(key)), *guessed])
    columns = ["metric", "this run", *(["guessing"] if guess else [])]
    return [Table(f"Compared with guessing, {SUBSETS[subset]}", columns, rows, note=how)]


def guessed_metrics(reader: Reader, subset: str) -> tuple[dict[str, float], str]:
    """Score predictions that know nothing of an image, and say which; {} if labels or models are not here."""
    images, boxes = reader.images, reader.boxes
    predictions = reader.table(reader.paths.evaluate / f"{subset}.parquet")
    folder = next((path.parent for path in sorted(reader.paths.models.glob(f"fold*/{CONFIG}"))), None)
    if images is None or boxes is None or predictions is None or folder is None:
        return {}, ""
    known = images[images["image_id"].isin(predictions["image_id"])].reset_index(drop=True)
    if known.empty:  # a detector that found nothing
        return {}, ""
    if reader.task.kind == "classification":
        return _guessed_classes(known, reader.summary["classes"])
    task, _ = read_config(folder)
    assert isinstance(task, DetectionTask)
    return _guessed_boxes(task, GroundTruth(known, *split_regions(boxes)))


def _guessed_classes(images: pd.DataFrame, classes: list[str]) -> tuple[dict[str, float], str]:
    """Predict the class frequencies, and so the most frequent class, for each image."""
    images = images[images["label"].isin(classes)]
    labels = images["label"].map({name: index for index, name in enumerate(classes)}).to_numpy(np.int64)
    shares = np.bincount(labels, minlength=len(classes)) / max(1, len(labels))
    guess = classification_metrics(labels, np.tile(shares, (len(labels), 1)), classes)
    most = classes[int(shares.argmax())]
    return guess, f"Guessing: every image is of the most frequent class, '{most}'."


def _guessed_boxes(task: DetectionTask, gt: GroundTruth) -> tuple[dict[str, float], str]:
    """Find no boxes, and take every image as equally likely to be empty."""
    ids = gt.images["image_id"]
    empty = pd.DataFrame({"image_id": ids, "label": task.negative, "score": 0.5, **dict.fromkeys(BOX, 0.0)})
    predictions = conform(empty if task.negative else empty.iloc[:0], DETECTIONS)
    value = task.score(gt.subset(ids), predictions)
    also = ", and every image is as likely as any other to be empty" if task.negative else ""
    return {task.primary_metric: value, **dict.fromkeys(BESIDE["detection"], 0.0)}, f"Guessing: no boxes{also}."


def _other_runs(metrics: dict[str, Any], reader: Reader) -> list[Block]:
    """List the other trainings of this task that were evaluated, best first, with what they changed."""
    name, present = metrics["headline"]["name"], reader.run
    settings = _settings(reader, present)
    rows = []
    for path in sorted(reader.paths.runs.glob("*/run.json")):
        run = reader.json(path)
        value = as_number(reader.json(path.with_name("metrics.json")).get("oof", {}).get(name))
        if path.parent.name == present.get("training") or value is None:
            continue
        same = "same" if run.get("data_hash") == present.get("data_hash") else "other"
        rows.append((-value, [_run_name(run), _changes(_settings(reader, run), settings), same, score(value)]))
    if not rows:
        return [Text("No other training of this task has been evaluated here, so there is nothing to compare with.")]
    n_runs = len(rows)
    rows = sorted(rows, key=lambda pair: pair[0])[:MAX_RUNS]
    own = as_number(metrics.get("oof", {}).get(name))
    rows.append((-(own or 0.0), [f"this run, {_run_name(present)}", "–", "same", score(own)]))
    shown = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    columns = ["run", "settings that differ from this run", "images and split", metric_name(name)]
    return [Table(f"Other runs ({min(n_runs, MAX_RUNS)} of {n_runs})", columns, shown, 3, say("other_runs"))]


def _run_name(run: dict[str, Any]) -> str:
    """Name a run as `tropho leaderboard` does: first digits of its id, and its experiment if it is of one."""
    experiment = run.get("dvc_experiment")
    run_id = str(run.get("run_id") or run.get("training") or "")[:8]
    return f"{run_id} ({experiment})" if experiment else run_id


def _settings(reader: Reader, run: dict[str, Any]) -> dict[str, Any]:
    return dict(reader.yaml(reader.paths.runs / str(run.get("fingerprint")) / CONFIG).get("settings", {}))


def _changes(other: dict[str, Any], own: dict[str, Any]) -> str:
    """Name the settings of another run that differ from this one's."""
    changed = [
        f"{section}.{key} {format_value(value)}"
        for section in SECTIONS
        if section not in LATER
        for key, value in (other.get(section) or {}).items()
        if (own.get(section) or {}).get(key) != value
    ]
    more = len(changed) - MAX_CHANGES
    names = ", ".join(changed[:MAX_CHANGES]) + (f" and {more} more" if more > 0 else "")
    return names or ("none" if other and own else "not recorded")
