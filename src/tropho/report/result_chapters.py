"""Chapters on results: headline, evaluation, errors, submission."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.filesize import decimal

from tropho.files import sha256_of
from tropho.images.fonts import stand_ins
from tropho.metrics.metric_names import metric_name
from tropho.plots.format_numbers import as_number, count, humanize, moment, score
from tropho.plots.training_plots import plot_cv_vs_leaderboard
from tropho.report.blocks import (
    Block,
    Code,
    Details,
    Heading,
    Table,
    Text,
    chart,
    figures,
    key_values,
    missing_stage,
)
from tropho.report.metric_tables import (
    SUBSETS,
    class_tables,
    fitted_steps,
    intervals,
    overall_table,
    quantity_tables,
    threshold_table,
    with_interval,
)
from tropho.report.own_words import own_words
from tropho.report.photos import first_pictures, photo_viewer
from tropho.report.reader import Reader, say, texts
from tropho.submission.submission_log import SUBMISSIONS, cv_gap_warnings
from tropho.tables import LABEL_ISSUES

MEASURED_ON = {
    "test": "on the test set",
    "oof": "on validation images, each predicted by a model that was not trained on it",
}
MAX_SUBMISSIONS = 15
SHEETS = ("gallery", "gradcam")
"""How the names of figures begin that belong to the chapter on errors."""
OUTCOMES = ("gallery_worst", "gallery_wrong")
"""Figures that only images with labels have."""
WEAK = 0.6
"""Of the way from guessing to perfect; a model below this is wrong more often than labels are."""


@dataclass(frozen=True)
class Headline:
    """Score of the task; `value` is empty if nothing has been measured."""

    name: str = ""
    value: str = ""
    interval: str = ""
    measured_on: str = ""
    details: tuple[str, ...] = ()
    warning: str = ""
    pictures: tuple[Block, ...] = ()
    blocks: tuple[Block, ...] = ()


def headline(reader: Reader) -> Headline:
    """Show the primary metric with its interval, what the model sees, other subsets, and metrics by class."""
    metrics = reader.metrics
    if not metrics:
        return Headline(blocks=(missing_stage("evaluate", reader.task.name, "Nothing has been measured"),))
    head = metrics["headline"]
    name, subset = head["name"], head["subset"]
    low, high = head.get("low"), head.get("high")
    interval = f"95 % interval {score(low)} to {score(high)}" if low is not None and high is not None else ""
    details = []
    for other, title in SUBSETS.items():
        if other != subset and name in metrics.get(other, {}):
            span = intervals(reader, other).get(name)
            details.append(f"{title}: {with_interval(name, metrics[other][name], span)}")
    leaks = metrics.get("test_leaks", {"images": 0})
    warning = ""
    if subset == "test" and leaks["images"]:
        warning = say("leaks", images=count(leaks["images"]), of=count(leaks["of"]))
    measured_on = MEASURED_ON[subset]
    if (images := head.get("images")) is not None:
        measured_on += f" ({count(images)} images)"
    return Headline(
        metric_name(name),
        score(head["value"]),
        interval,
        measured_on,
        tuple(details),
        warning,
        tuple(first_pictures(reader)),
        tuple(class_tables(metrics[subset], True, subset)),
    )


def evaluation(reader: Reader) -> list[Block]:
    """Show how the result was measured: metrics, thresholds, charts, photos with a slider of the confidence."""
    metrics = reader.metrics
    plots = {subset: figures(figure_files(reader, subset, sheets=False)) for subset in ("test", "oof")}
    if not metrics:
        return [missing_stage("evaluate", reader.task.name, "Nothing has been measured")]
    best = metrics["headline"]["subset"]
    blocks: list[Block] = [
        Text(say("measured", on=MEASURED_ON[best])),
        *_drawn_names(reader.summary.get("classes", [])),
        *overall_table(metrics, reader),
        *fitted_steps(reader),
        *threshold_table(reader),
    ]
    if viewer := photo_viewer(reader):
        blocks += [Heading("Predictions at any confidence"), *viewer]
    for subset, title in SUBSETS.items():
        values, in_headline = metrics.get(subset, {}), subset == best
        tables = [*([] if in_headline else class_tables(values, True, subset)), *class_tables(values, False, subset)]
        if tables:
            blocks.append(Details(f"{'More by class' if in_headline else 'By class'}, {title}", tables))
    blocks.extend(quantity_tables(reader))
    if plots["test"] and plots["oof"]:
        blocks += [Heading("Plots, test"), *plots["test"], Details("Plots, out of fold", plots["oof"])]
    else:
        shown = next((subset for subset, pictures in plots.items() if pictures), None)
        blocks += [Heading(f"Plots, {SUBSETS[shown]}"), *plots[shown]] if shown else [Text("There are no plots.")]
    return blocks


def _drawn_names(classes: list[str]) -> list[Block]:
    """List what plots call the classes whose names no font of this machine can draw."""
    names = stand_ins(classes)
    rows = [[stand_in, name] for name, stand_in in sorted(names.items(), key=lambda pair: classes.index(pair[0]))]
    return [Table("Class names that no font of this machine can draw", ["in plots", "class"], rows, 2)] if rows else []


def figure_files(reader: Reader, subset: str, sheets: bool) -> list[Path]:
    """List the figures of a subset: those that show images, or all others."""
    pictures = reader.pictures(reader.paths.evaluate / "figures" / subset)
    return [path for path in pictures if path.stem.startswith(SHEETS) == sheets]


def errors(reader: Reader) -> list[Block]:
    """Show the images that are predicted worst, what the model looks at, and the labels that it contradicts."""
    files = {subset: figure_files(reader, subset, sheets=True) for subset in ("test", "oof")}
    labelled = [subset for subset, paths in files.items() if any(path.stem in OUTCOMES for path in paths)]
    order = [*labelled, *(subset for subset in files if subset not in labelled)]  # images without labels last
    blocks: list[Block] = []
    for subset in order:
        pictures, title = figures(files[subset]), f"Images, {SUBSETS[subset]}"
        if pictures:
            blocks += [Details(title, pictures)] if blocks else [Heading(title), *pictures]
    if not blocks:
        blocks.append(Text("There are no pictures of predictions (evaluate.gallery_images)."))
    return [*blocks, own_words(reader, "errors"), *label_issues(reader)]


def label_issues(reader: Reader) -> list[Block]:
    """Count the label issues by kind, show them, and say how to correct labels; nothing without a table."""
    table = reader.table(reader.paths.evaluate / "label_issues.csv", LABEL_ISSUES)
    if table is None:
        return []
    title = Heading("Label issues")
    if table.empty:
        return [title, Text("No label contradicts the out-of-fold predictions enough to be listed.")]
    meanings = texts("label_issues")
    kinds = Counter(zip(table["kind"], table["action"], strict=True)).most_common()
    rows = [[humanize(kind), meanings[kind], action, count(n)] for (kind, action), n in kinds]
    name = reader.task.name
    file = reader.task.audit.corrections or f"corrections/{name}.csv"
    picture = reader.paths.evaluate / "label_issues.png"
    return [
        title,
        *_weak_warning(reader),
        Text(say("label_issues", number=count(len(table)))),
        Text(say("corrections", task=name, file=file)),
        Code([f"audit: {{corrections: {file}}}    # at tasks.{name}", f"dvc repro report@{name}"]),
        Table("", ["kind", "what it is", "correction", "labels"], rows, numbers_from=3),
        *figures([picture] if picture.is_file() else []),
    ]


def _weak_warning(reader: Reader) -> list[Block]:
    """Warn against correcting labels by a model that is often wrong itself."""
    metrics, chance = reader.metrics, reader.chance
    value = as_number(metrics["oof"].get(metrics["headline"]["name"])) if metrics else None
    if value is None or value - chance >= WEAK * (1 - chance):
        return []
    return [Text(say("weak_model", score=score(value)), warn=True)]


def submission(reader: Reader) -> list[Block]:
    """Show the file of test predictions, its check, and the leaderboard's scores so far if there is one."""
    blocks: list[Block] = []
    path, is_competition = reader.paths.submission, reader.task.download.is_competition
    record = reader.json(path.with_suffix(".json"))
    facts: dict[str, Any] = {}
    if path.is_file():
        table = reader.table(path)
        facts = {"file": f"submissions/{path.name}", "size": decimal(path.stat().st_size)}
        facts |= {"rows": len(table)} if table is not None else {}
        facts["SHA-256"] = sha256_of(path)
        if record.get("sha256") not in (None, facts["SHA-256"]):
            blocks.append(Text("The file was changed after it was written; run `tropho submit` again.", warn=True))
    else:
        what = "to submit" if is_competition else "of the test images"
        blocks.append(missing_stage("submit", reader.task.name, f"There are no predictions {what}"))
        if not record:
            return blocks
    facts |= {"images": record["images"]} if record.get("images") else {}
    facts |= {"written": moment(record["written"])} if record.get("written") else {}
    facts |= {f"{key} images": part["images"] for key, part in record.get("not_predicted", {}).items()}
    blocks.append(key_values(facts))
    if record.get("checked") and record.get("sha256") == facts.get("SHA-256"):
        blocks.append(Text("`tropho check-submission` found no fault when the file was written."))
    elif record.get("checked") is False and is_competition:
        blocks.append(Text("The file was not checked, since there is no sample submission, or it has no rows."))
    return [*blocks, *leaderboard(reader)]


def leaderboard(reader: Reader) -> list[Block]:
    """List the newest submissions beside their public scores; nothing for a task without a leaderboard."""
    log = reader.table(reader.paths.submission_log, SUBMISSIONS)
    if log is None or log.empty or not (reader.task.download.is_competition or log["public"].notna().any()):
        return []
    rows = []
    for row in log.tail(MAX_SUBMISSIONS)[::-1].to_dict("records"):
        own, low, high, public, private = (
            "–" if pd.isna(row[key]) else score(row[key]) for key in ("score", "low", "high", "public", "private")
        )
        interval = low if low == "–" else f"{low} to {high}"
        rows.append([row["sha256"][:8], moment(row["written"]), own, interval, public, private])
    columns = ["file", "written", "cross-validated", "95 % interval", "public", "private"]
    note = f"`tropho record-score {reader.task.name}` reads scores from Zindi or Kaggle; a SCORE after it is recorded."
    return [
        *(Text(warning, warn=True) for warning in cv_gap_warnings(log)),
        Table("Submissions, newest first", columns, rows, 2, note),
        *chart(plot_cv_vs_leaderboard(log), "cv_vs_leaderboard"),
    ]
