"""Chapters on results: headline, evaluation, label issues, submission, how to reproduce."""

import importlib.metadata
import platform
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tropho.errors import DataError
from tropho.files import sha256_of
from tropho.images.fonts import stand_ins
from tropho.plots.cv_vs_leaderboard import plot_cv_vs_leaderboard
from tropho.plots.format_numbers import as_number, count, file_size, humanize, metric_name, score
from tropho.report.blocks import (
    Block,
    Code,
    Details,
    Heading,
    KeyValues,
    Section,
    Table,
    Text,
    bullets,
    chart,
    figures,
    key_values,
    missing_stage,
)
from tropho.report.metric_tables import (
    SUBSETS,
    class_tables,
    intervals,
    overall_table,
    quantity_tables,
    read_metrics,
    threshold_table,
    with_interval,
)
from tropho.report.reader import Reader
from tropho.report.run_chapters import folds_of
from tropho.submission.cv_gap import cv_gap_warnings
from tropho.submission.submission_log import SUBMISSIONS
from tropho.tables import conform

PACKAGES = ("tropho", "torch", "torchvision", "albumentations", "opencv-python-headless", "scikit-learn", "numpy")
MEASURED_ON = {
    "test": "on the test set",
    "oof": "on validation images, each predicted by a model that was not trained on it",
}
MAX_SUBMISSIONS = 15
LABEL_ISSUES = {
    "overlooked": "a confident detection where nothing is annotated",
    "not_negative": "a confident detection in an image that is annotated as empty",
    "spurious": "annotated, but nothing is detected there",
    "swap": "predicted as another class",
    "badloc": "detected beside the annotated box",
    "duplicate": "a second box on one object",
}


@dataclass(frozen=True)
class Headline:
    """Score of the task; `value` is empty if nothing has been measured."""

    name: str = ""
    value: str = ""
    measured_on: str = ""
    details: str = ""
    blocks: tuple[Block, ...] = ()


def headline(reader: Reader) -> Headline:
    """Show the primary metric with its interval, the same on other subsets, and metrics by class."""
    metrics = read_metrics(reader)
    head = metrics.get("headline", {})
    if "value" not in head:
        return Headline(blocks=(missing_stage("evaluate", reader.task.name, "Nothing has been measured"),))
    name, subset = str(head.get("name", "score")), str(head.get("subset", "oof"))
    low, high = as_number(head.get("low")), as_number(head.get("high"))
    details = []
    if low is not None and high is not None:
        details.append(f"95 % interval {score(low)} to {score(high)} (resampled by group)")
    for other, title in SUBSETS.items():
        if other != subset and name in metrics.get(other, {}):
            interval = intervals(reader, other).get(name, (None, None))
            details.append(f"{title}: {with_interval(name, metrics[other][name], interval)}")
    measured_on = MEASURED_ON.get(subset, subset)
    table = reader.table(reader.paths.evaluate / f"{subset}.parquet", columns=["image_id"])
    if table is not None and len(table):
        measured_on += f" ({count(table['image_id'].nunique())} images)"
    by_class = class_tables(metrics.get(subset, {}), leading=True)
    return Headline(metric_name(name), score(head["value"]), measured_on, "; ".join(details), tuple(by_class))


def evaluation(reader: Reader) -> Section:
    """Show metrics, thresholds, plots and label issues."""
    blocks: list[Block] = []
    metrics, folder = read_metrics(reader), reader.paths.evaluate
    plots = {subset: figures(reader.pictures(folder / "figures" / subset)) for subset in ("test", "oof")}
    if not metrics and not any(plots.values()):
        return Section(
            "evaluation", "Evaluation", [missing_stage("evaluate", reader.task.name, "Nothing has been measured")]
        )
    notes = reader.json(folder / "notes.json")
    for subset, title in SUBSETS.items():
        blocks.extend(bullets(notes.get(subset), f"Notes on the results, {title}:"))
    blocks.extend(_drawn_names(reader.json(reader.paths.audit / "summary.json").get("classes")))
    blocks.extend(overall_table(metrics, reader))
    for subset, title in SUBSETS.items():
        values, in_headline = metrics.get(subset, {}), subset == metrics.get("headline", {}).get("subset")
        tables = [*([] if in_headline else class_tables(values, leading=True)), *class_tables(values, leading=False)]
        if tables:
            blocks.append(Details(f"{'More by class' if in_headline else 'By class'}, {title}", tables))
    blocks.extend(quantity_tables(reader))
    blocks.extend(threshold_table(reader))
    if plots["test"] and plots["oof"]:
        blocks += [Heading("Plots, test"), *plots["test"], Details("Plots, out of fold", plots["oof"])]
    else:
        shown = next((subset for subset, pictures in plots.items() if pictures), None)
        blocks += [Heading(f"Plots, {SUBSETS[shown]}"), *plots[shown]] if shown else [Text("There are no plots.")]
    blocks.extend(label_issues(reader))
    return Section("evaluation", "Evaluation", blocks)


def _drawn_names(classes: Any) -> list[Block]:
    """List what plots call the classes whose names no font of this machine can draw."""
    names = stand_ins(classes) if isinstance(classes, list) else {}
    rows = [[stand_in, name] for name, stand_in in sorted(names.items(), key=lambda pair: classes.index(pair[0]))]
    return [Table("Class names that no font of this machine can draw", ["in plots", "class"], rows, 2)] if rows else []


def label_issues(reader: Reader) -> list[Block]:
    """Count the label issues by kind, show them, and say how to correct labels; nothing without a table."""
    table = reader.table(reader.paths.evaluate / "label_issues.csv")
    if table is None or not {"kind", "action"} <= set(table):
        return []
    title = Heading("Label issues")
    if table.empty:
        return [title, Text("No label contradicts the out-of-fold predictions enough to be listed.")]
    kinds = Counter(zip(table["kind"].astype(str), table["action"].astype(str), strict=True)).most_common()
    rows = [[humanize(kind), LABEL_ISSUES.get(kind, ""), action, count(n)] for (kind, action), n in kinds]
    name = reader.task.name
    file = reader.task.audit.corrections or f"corrections/{name}.csv"
    picture = reader.paths.evaluate / "label_issues.png"
    return [
        title,
        Text(
            f"Predictions of models that were not trained on them contradict {count(len(table))} labels. Models err "
            "too, and a weak model is wrong far more often than the labels: look at each image before you correct it."
        ),
        Text(
            f"reports/{name}/evaluate/label_issues.csv ranks them; each line starts with its correction. Copy the "
            f"header and the lines that you agree with into {file}, and name that file in params.yaml:"
        ),
        Code([f"audit: {{corrections: {file}}}    # at tasks.{name}", f"dvc repro report@{name}"]),
        Table("", ["kind", "what it is", "correction", "labels"], rows, numbers_from=3),
        *figures([picture] if picture.is_file() else []),
    ]


def submission(reader: Reader) -> Section:
    """Show the file to upload, its origin and check, and the leaderboard's scores so far."""
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
            blocks.append(Text("The file is not the one that its record describes; submit again.", warn=True))
    else:
        blocks.append(missing_stage("submit", reader.task.name, "There is no submission"))
        if not record:
            return Section("submission", "Submission", blocks)
    known = {"task", "file", "rows", "sha256", "score", "checked"}
    facts |= {key: value for key, value in record.items() if key not in known and value not in (None, {}, [])}
    blocks.append(key_values(facts))
    if record.get("checked") and record.get("sha256") == facts.get("SHA-256"):
        blocks.append(Text("`tropho check-submission` found no fault when the file was written."))
    elif record.get("checked") is False:
        blocks.append(Text("The file was not checked: there is no sample submission, or it has no rows."))
    blocks.extend(leaderboard(reader.table(reader.paths.submission_log), reader))
    return Section("submission", "Submission", blocks)


def leaderboard(table: pd.DataFrame | None, reader: Reader) -> list[Block]:
    """List the newest submissions beside their public scores; nothing for a task without a leaderboard."""
    if table is None or table.empty:
        return []
    try:
        ledger = conform(table, SUBMISSIONS).dropna(subset=["sha256", "written"])
    except (DataError, ValueError):
        return [Text("The log of submissions has other columns than this version of Tropho writes.", warn=True)]
    if reader.task.download.source not in {"zindi", "kaggle"} and ledger["public"].isna().all():
        return []

    def text(value: Any) -> str:
        return "–" if pd.isna(value) else score(value)

    rows = [
        [
            row["sha256"][:8],
            row["written"][:16].replace("T", " "),
            text(row["score"]),
            "–" if pd.isna(row["low"]) else f"{text(row['low'])} to {text(row['high'])}",
            text(row["public"]),
            text(row["private"]),
        ]
        for _, row in ledger.tail(MAX_SUBMISSIONS)[::-1].iterrows()
    ]
    columns = ["file", "written", "cross-validated", "95 % interval", "public", "private"]
    note = f"Record a public score with `tropho record-score {reader.task.name} SCORE`."
    plot = plot_cv_vs_leaderboard(ledger)
    return [
        *(Text(warning, warn=True) for warning in cv_gap_warnings(ledger)),
        Table("Submissions, newest first", columns, rows, 2, note),
        *(chart(plot, "cv_vs_leaderboard") if plot else []),
    ]


def reproduce(reader: Reader) -> Section:
    """Give the commands that make this page again, and the versions that wrote it."""
    name, run = reader.task.name, reader.json(reader.paths.models / "run.json")
    record = reader.json(reader.paths.submission.with_suffix(".json"))
    commit = str(run.get("git_commit") or record.get("git_commit") or "")
    code = Code(
        [
            "git clone ADDRESS tropho    # the repository that this page comes from",
            "cd tropho",
            *([f"git checkout {commit}"] if re.fullmatch("[0-9a-f]{7,64}", commit) else []),
            "make setup                  # installs the packages in their exact versions",
            ". .venv/bin/activate",
            f"dvc repro report@{name}",
            "mlflow ui",
        ]
    )
    facts = {"Python": platform.python_version(), **_versions()}
    run_ids = [str(part.get("run_id") or "") for part in (run, *folds_of(run))]
    if any(run_ids):
        facts["MLflow runs"] = ", ".join(filter(None, run_ids))
    versions = Details("Versions that wrote this page, and runs", [KeyValues(list(facts.items()))])
    notes = []
    if not commit:
        notes.append(Text("The git commit was not recorded."))
    elif str(run.get("git_dirty", record.get("git_dirty", ""))).lower() == "true":
        changed = "The working tree had changes that are not in this commit"
        notes.append(Text(f"{changed}; models/{name}/fold0/config.yaml has the settings that were used.", warn=True))
    return Section("reproduce", "How to reproduce", [code, *notes, versions])


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
