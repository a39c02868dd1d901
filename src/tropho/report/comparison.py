"""Chapter on results and discussion: this run against guessing, other runs and published figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.task_config import SECTIONS
from tropho.data.task_data import GroundTruth
from tropho.errors import TrophoError
from tropho.inference.trained_folds import CONFIG
from tropho.metrics.classification_metrics import classification_metrics
from tropho.metrics.metric_names import metric_name
from tropho.plots.format_numbers import as_number, format_value, score
from tropho.report.blocks import Block, Section, Table, Text, bullets, missing_stage
from tropho.report.literature import published_figures
from tropho.report.metric_tables import SUBSETS, Metrics, intervals, read_metrics, with_interval
from tropho.report.own_words import own_words
from tropho.report.reader import Reader
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, conform, split_regions
from tropho.tasks.detection_task import DetectionTask

MAX_RUNS = 8
MAX_CHANGES = 6
"""Settings that are named of another run."""
BESIDE = {"classification": ("accuracy", "f1", "roc_auc"), "detection": ("map50", "map50_95")}
"""Metrics that are compared, after the primary one."""
LATER = ("predict", "evaluate", "submit", "report", "tune")
"""Sections that don't shape a model."""


def discussion(reader: Reader) -> Section:
    """Compare the result with guessing, with other runs and with published figures."""
    metrics = read_metrics(reader)
    head = metrics.get("headline", {})
    words = own_words(reader, "discussion", "What do the results mean, what are their limits, what would you do next?")
    if "value" not in head:
        missing = missing_stage("evaluate", reader.task.name, "Nothing has been measured")
        return Section("discussion", "Results and discussion", [missing, *words])
    blocks: list[Block] = [*_against_guessing(metrics, reader), *_other_runs(head, reader), *published_figures(reader)]
    notes = reader.json(reader.paths.evaluate / "notes.json")
    for subset, title in SUBSETS.items():
        blocks.extend(bullets(notes.get(subset), f"Notes on the results, {title}:"))
    return Section("discussion", "Results and discussion", [*blocks, *words])


def _against_guessing(metrics: dict[str, Metrics], reader: Reader) -> list[Block]:
    """Put the result beside that of guessing on the same images."""
    head = metrics["headline"]
    name, subset = str(head.get("name")), str(head.get("subset"))
    names = [name, *(other for other in BESIDE[reader.task.kind] if other in metrics.get(subset, {}))]
    spans = intervals(reader, subset)
    guess, how = guessed_metrics(reader, subset)
    rows = []
    for key in names:
        cell = with_interval(key, metrics.get(subset, {}).get(key), spans.get(key, (None, None)))
        guessed = [score(guess[key]) if key in guess else "–"] if guess else []
        rows.append([metric_name(key), cell, *guessed])
    columns = ["metric", "this run", *(["guessing"] if guess else [])]
    return [Table(f"Compared with guessing, {SUBSETS.get(subset, subset)}", columns, rows, note=how)]


def guessed_metrics(reader: Reader, subset: str) -> tuple[dict[str, float], str]:
    """Score predictions that know nothing of an image, and say which; {} if the labels can't be read."""
    from tropho.inference.predictor import trained_task

    images = reader.table(reader.paths.audit / "images.csv")
    boxes = reader.table(reader.paths.audit / "boxes.csv")
    predictions = reader.table(reader.paths.evaluate / f"{subset}.parquet")
    if images is None or boxes is None or predictions is None or "image_id" not in predictions:
        return {}, ""
    try:
        images, boxes = conform(images, IMAGES), conform(boxes, BOXES)
        known = images[images["image_id"].isin(predictions["image_id"])].reset_index(drop=True)
        if reader.task.kind == "classification":
            return _guessed_classes(known, reader)
        folder = next(iter(sorted(path.parent for path in reader.paths.models.glob(f"fold*/{CONFIG}"))))
        task = trained_task(folder)
        assert isinstance(task, DetectionTask)
        return _guessed_boxes(task, GroundTruth(known, *split_regions(boxes)))
    except (TrophoError, ValueError, KeyError, StopIteration, AssertionError):
        return {}, ""


def _guessed_classes(images: pd.DataFrame, reader: Reader) -> tuple[dict[str, float], str]:
    """Predict the class frequencies, and so the most frequent class, for each image."""
    classes = [str(name) for name in reader.json(reader.paths.audit / "summary.json")["classes"]]
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


def _other_runs(head: Metrics, reader: Reader) -> list[Block]:
    """List the other trainings of this task that were evaluated, best first, with what they changed."""
    present = reader.json(reader.paths.models / "run.json")
    settings = _settings(reader, present)
    rows = []
    for path in sorted(reader.paths.runs.glob("*/run.json")):
        run, metrics = reader.json(path), reader.json(path.with_name("metrics.json"))
        value = as_number(metrics.get("oof", {}).get(head.get("name"))) if metrics else None
        if path.parent.name == present.get("training") or value is None:
            continue
        same = "same" if run.get("data_hash") == present.get("data_hash") else "other"
        rows.append((-value, [path.parent.name[:8], _changes(_settings(reader, run), settings), same, score(value)]))
    if not rows:
        return [Text("No other training of this task has been evaluated here, so there is nothing to compare with.")]
    own = as_number(reader.json(reader.paths.evaluate / "metrics.json").get("oof", {}).get(head.get("name")))
    rows.append((-(own or 0.0), ["this run", "–", "same", score(own)]))
    shown = [row for _, row in sorted(rows, key=lambda pair: pair[0])][:MAX_RUNS]
    note = (
        "Scores are out of fold. Where labels, split or image size differ, compare scores only roughly. A difference "
        "smaller than the interval above may be chance."
    )
    columns = ["run", "settings that differ from this run", "images and split", metric_name(str(head.get("name")))]
    return [Table(f"Other runs ({min(len(rows), MAX_RUNS)} of {len(rows)})", columns, shown, 3, note)]


def _settings(reader: Reader, run: dict[str, Any]) -> dict[str, Any]:
    path: Path = reader.paths.runs / str(run.get("fingerprint")) / CONFIG
    settings = reader.yaml(path).get("settings")
    return settings if isinstance(settings, dict) else {}


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
