"""Chapters on results: headline, evaluation, submission."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tropho.errors import DataError
from tropho.files import sha256_of
from tropho.images.fonts import stand_ins
from tropho.metrics.metric_names import metric_name
from tropho.plots.cv_vs_leaderboard import plot_cv_vs_leaderboard
from tropho.plots.format_numbers import as_number, count, file_size, moment, score
from tropho.report.blocks import (
    Block,
    Details,
    Heading,
    Section,
    Table,
    Text,
    chart,
    figures,
    key_values,
    missing_stage,
)
from tropho.report.error_chapter import figure_files
from tropho.report.metric_tables import (
    SUBSETS,
    class_tables,
    fitted_steps,
    intervals,
    overall_table,
    quantity_tables,
    read_metrics,
    threshold_table,
    with_interval,
)
from tropho.report.own_words import own_words
from tropho.report.photos import first_pictures, photo_viewer
from tropho.report.reader import Reader
from tropho.submission.cv_gap import cv_gap_warnings
from tropho.submission.submission_log import SUBMISSIONS
from tropho.tables import conform

MEASURED_ON = {
    "test": "on the test set",
    "oof": "on validation images, each predicted by a model that was not trained on it",
}
MAX_SUBMISSIONS = 15


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
    metrics = read_metrics(reader)
    head = metrics.get("headline", {})
    if "value" not in head:
        return Headline(blocks=(missing_stage("evaluate", reader.task.name, "Nothing has been measured"),))
    name, subset = str(head.get("name", "score")), str(head.get("subset", "oof"))
    low, high = as_number(head.get("low")), as_number(head.get("high"))
    interval = f"95 % interval {score(low)} to {score(high)}" if low is not None and high is not None else ""
    details = []
    for other, title in SUBSETS.items():
        if other != subset and name in metrics.get(other, {}):
            span = intervals(reader, other).get(name, (None, None))
            details.append(f"{title}: {with_interval(name, metrics[other][name], span)}")
    measured_on = MEASURED_ON.get(subset, subset)
    table = reader.table(reader.paths.evaluate / f"{subset}.parquet", columns=["image_id"])
    if table is not None and len(table):
        measured_on += f" ({count(table['image_id'].nunique())} images)"
    return Headline(
        metric_name(name),
        score(head["value"]),
        interval,
        measured_on,
        tuple(details),
        _leak_warning(metrics) if subset == "test" else "",
        tuple(first_pictures(reader)),
        tuple(class_tables(metrics.get(subset, {}), True, subset)),
    )


def _leak_warning(metrics: dict[str, Any]) -> str:
    leaks = metrics.get("test_leaks", {})
    if not as_number(leaks.get("images")):
        return ""
    return (
        f"{count(leaks['images'])} of {count(leaks.get('of'))} test images share a patient, slide or picture with "
        "training images, so this score is too high."
    )


def evaluation(reader: Reader) -> Section:
    """Show how the result was measured: metrics, thresholds, charts, photos with a slider of the confidence."""
    metrics = read_metrics(reader)
    plots = {subset: figures(figure_files(reader, subset, sheets=False)) for subset in ("test", "oof")}
    words = own_words(reader, "evaluation", "Why this metric? What does it not measure?")
    if not metrics and not any(plots.values()):
        missing = missing_stage("evaluate", reader.task.name, "Nothing has been measured")
        return Section("evaluation", "Evaluation", [missing, *words])
    blocks: list[Block] = [Text(_how_measured(metrics))]
    blocks.extend(_drawn_names(reader.json(reader.paths.audit / "summary.json").get("classes")))
    blocks.extend(overall_table(metrics, reader))
    blocks.extend(fitted_steps(reader))
    blocks.extend(threshold_table(reader))
    if viewer := photo_viewer(reader):
        blocks += [Heading("Predictions at any confidence"), *viewer]
    for subset, title in SUBSETS.items():
        values, in_headline = metrics.get(subset, {}), subset == metrics.get("headline", {}).get("subset")
        tables = [*([] if in_headline else class_tables(values, True, subset)), *class_tables(values, False, subset)]
        if tables:
            blocks.append(Details(f"{'More by class' if in_headline else 'By class'}, {title}", tables))
    blocks.extend(quantity_tables(reader))
    if plots["test"] and plots["oof"]:
        blocks += [Heading("Plots, test"), *plots["test"], Details("Plots, out of fold", plots["oof"])]
    else:
        shown = next((subset for subset, pictures in plots.items() if pictures), None)
        blocks += [Heading(f"Plots, {SUBSETS[shown]}"), *plots[shown]] if shown else [Text("There are no plots.")]
    return Section("evaluation", "Evaluation", [*blocks, *words])


def _how_measured(metrics: dict[str, Any]) -> str:
    """Say on which images the score was measured, and how its interval was made."""
    subset = str(metrics.get("headline", {}).get("subset", "oof"))
    where = MEASURED_ON.get(subset, subset)
    return (
        f"The score is measured {where}. Thresholds and post-processing were chosen out of fold. Intervals are 95 % "
        "bootstrap intervals that resample whole groups (patients, slides or repeated pictures)."
    )


def _drawn_names(classes: Any) -> list[Block]:
    """List what plots call the classes whose names no font of this machine can draw."""
    names = stand_ins(classes) if isinstance(classes, list) else {}
    rows = [[stand_in, name] for name, stand_in in sorted(names.items(), key=lambda pair: classes.index(pair[0]))]
    return [Table("Class names that no font of this machine can draw", ["in plots", "class"], rows, 2)] if rows else []


def submission(reader: Reader) -> Section:
    """Show the file of test predictions, its check, and the leaderboard's scores so far if there is one."""
    title, what = "Predictions of the test images", "predictions of the test images"
    if reader.task.download.is_competition:
        title, what = "Submission", "predictions to submit"
    blocks: list[Block] = []
    path = reader.paths.submission
    record = reader.json(path.with_suffix(".json"))
    facts: dict[str, Any] = {}
    if path.is_file():
        table = reader.table(path)
        facts = {"file": f"submissions/{path.name}", "size": file_size(path.stat().st_size)}
        facts |= {"rows": len(table)} if table is not None else {}
        facts["SHA-256"] = sha256_of(path)
        if record.get("sha256") not in (None, facts["SHA-256"]):
            blocks.append(Text("The file was changed after it was written; run `tropho submit` again.", warn=True))
    else:
        blocks.append(missing_stage("submit", reader.task.name, f"There are no {what}"))
        if not record:
            return Section("submission", title, blocks)
    facts |= {"images": record["images"]} if record.get("images") else {}
    facts |= {"written": moment(record["written"])} if record.get("written") else {}
    if isinstance(record.get("not_predicted"), dict):
        facts |= {f"{key} images": part.get("images") for key, part in record["not_predicted"].items()}
    blocks.append(key_values(facts))
    if record.get("checked") and record.get("sha256") == facts.get("SHA-256"):
        blocks.append(Text("`tropho check-submission` found no fault when the file was written."))
    elif record.get("checked") is False and reader.task.download.is_competition:
        blocks.append(Text("The file was not checked, since there is no sample submission, or it has no rows."))
    blocks.extend(leaderboard(reader.table(reader.paths.submission_log), reader))
    return Section("submission", title, blocks)


def leaderboard(table: pd.DataFrame | None, reader: Reader) -> list[Block]:
    """List the newest submissions beside their public scores; nothing for a task without a leaderboard."""
    if table is None or table.empty:
        return []
    try:
        ledger = conform(table, SUBMISSIONS).dropna(subset=["sha256", "written"])
    except (DataError, ValueError):
        return [Text("The log of submissions was written by another version of Tropho and can't be shown.", warn=True)]
    if not reader.task.download.is_competition and ledger["public"].isna().all():
        return []

    def text(value: Any) -> str:
        return "–" if pd.isna(value) else score(value)

    rows = [
        [
            row["sha256"][:8],
            moment(row["written"]),
            text(row["score"]),
            "–" if pd.isna(row["low"]) else f"{text(row['low'])} to {text(row['high'])}",
            text(row["public"]),
            text(row["private"]),
        ]
        for _, row in ledger.tail(MAX_SUBMISSIONS)[::-1].iterrows()
    ]
    columns = ["file", "written", "cross-validated", "95 % interval", "public", "private"]
    note = f"`tropho record-score {reader.task.name}` reads scores from Zindi or Kaggle; a SCORE after it is recorded."
    plot = plot_cv_vs_leaderboard(ledger)
    return [
        *(Text(warning, warn=True) for warning in cv_gap_warnings(ledger)),
        Table("Submissions, newest first", columns, rows, 2, note),
        *(chart(plot, "cv_vs_leaderboard") if plot else []),
    ]
