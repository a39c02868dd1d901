"""The page's chapters on results: headline, metrics, figures, submission, and how to do it again."""

import importlib.metadata
import platform
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.files import sha256_of
from tropho.images.fonts import stand_ins
from tropho.plots import format_numbers
from tropho.plots.format_numbers import humanize
from tropho.plots.metric_names import class_metric_name, is_count, leading, metric_name
from tropho.report import metric_tables
from tropho.report.block_builders import figures, todo
from tropho.report.blocks import Block, Code, Details, Heading, Headline, KeyValues, Section, Table, Text
from tropho.report.cv_chapter import agreement_blocks
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.label_issue_chapter import label_issue_blocks
from tropho.report.reader import Folders, Reader
from tropho.report.run_chapters import folds_of

SUBSETS = {"oof": "out of fold", "test": "test", "test_without_leaks": "test without shared images"}
MOST_ROWS = 100
"""Classes that a table of the page has at most."""
PACKAGES = (
    "tropho",
    "torch",
    "torchvision",
    "albumentations",
    "opencv-python-headless",
    "scikit-learn",
    "numpy",
)


def headline(settings: TaskConfig, folders: Folders, reader: Reader) -> Headline:
    """The score the project is judged by, on what, the same on the other images, and its classes."""
    metrics = reader.json(folders.evaluate / "metrics.json")
    head = metrics.get("headline")
    if not isinstance(head, dict) or "value" not in head:
        return Headline("", "", "", blocks=[todo("evaluate", settings.name, "Nothing has been measured")])
    name, on = str(head.get("name", "score")), str(head.get("on", "oof"))
    low, high = format_numbers.as_number(head.get("low")), format_numbers.as_number(head.get("high"))
    told = f"95 % interval {format_numbers.score(low)} to {format_numbers.score(high)} (resampled by group)"
    others = [told] if low is not None and high is not None else []
    others += [
        f"{SUBSETS[subset]}: {_told(name, _flat(metrics, subset)[name], subset, folders, reader)}"
        for subset in SUBSETS
        if subset != on and name in _flat(metrics, subset)
    ]
    where = {
        "test": "on the test set",
        "oof": "on validation images, each judged by a model that never saw it",
    }
    beside = "; ".join(others)
    blocks = _class_tables(_flat(metrics, on), leading_only=True)
    return Headline(
        metric_name(name),
        format_numbers.score(head["value"]),
        _on(where.get(on, on), on, folders, reader),
        beside,
        blocks,
    )


def _told(name: str, value: Any, subset: str, folders: Folders, reader: Reader) -> str:
    interval = metric_tables.intervals(folders, reader, subset).get(name, (None, None))
    return metric_tables.with_interval(name, value, interval)


def _on(where: str, on: str, folders: Folders, reader: Reader) -> str:
    """Where the score was measured, with the number of images if it is known."""
    table = reader.table(folders.evaluate / f"{on}.parquet", columns=["image_id"])
    if table is None or table.empty:
        return where
    return f"{where} ({format_numbers.count(table['image_id'].nunique())} images)"


def _flat(metrics: dict[str, Any], subset: str) -> dict[str, Any]:
    values = metrics.get(subset)
    return values if isinstance(values, dict) else {}


def _by_class(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{"f1/cat": 0.5} -> {"cat": {"f1": 0.5}}."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        metric, slash, name = str(key).partition("/")
        if slash and name:
            found.setdefault(name, {})[metric] = value
    return found


def _class_tables(values: dict[str, Any], leading_only: bool) -> list[Block]:
    """Metrics by class: those that lead, or the remaining ones, few columns a table."""
    classes = _by_class(values)
    names = list(dict.fromkeys(metric for row in classes.values() for metric in row))
    first = leading(names)
    chosen = first if leading_only else [name for name in names if name not in first]
    blocks: list[Block] = []
    for start in range(0, len(chosen), 7):
        part = chosen[start : start + 7]
        rows = [[name, *(_cell(metric, row) for metric in part)] for name, row in list(classes.items())[:MOST_ROWS]]
        note = f"The first {MOST_ROWS} of {len(classes):,} classes; metrics.json has them all."
        columns = ["class", *(class_metric_name(each) for each in part)]
        title = "" if start else "By class"
        blocks.append(Table(title, columns, rows, note=note if len(classes) > MOST_ROWS else ""))
    return blocks


def _cell(metric: str, row: dict[str, Any]) -> str:
    if metric not in row:
        return "–"
    return format_numbers.count(row[metric]) if is_count(metric) else format_numbers.score(row[metric])


def evaluation(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section:
    """Overall metrics side by side, those by class that the headline left out, thresholds and figures."""
    section = Section("evaluation", "Evaluation")
    metrics = reader.json(folders.evaluate / "metrics.json")
    drawn = {
        subset: figures(reader.pictures(folders.evaluate / "figures" / subset), album) for subset in ("test", "oof")
    }
    if not metrics and not any(drawn.values()):
        section.blocks.append(todo("evaluate", settings.name, "Nothing has been measured"))
        return section
    head = _flat(metrics, "headline")
    section.blocks.extend(metric_tables.notes(folders, reader, SUBSETS))
    section.blocks.extend(_stand_ins(reader.json(folders.audit / "summary.json").get("classes")))
    section.blocks.extend(_overall(metrics, folders, reader))
    for subset, title in SUBSETS.items():
        values, shown = _flat(metrics, subset), subset == head.get("on")
        rest = _class_tables(values, leading_only=False)
        tables = rest if shown else [*_class_tables(values, leading_only=True), *rest]
        if tables:
            section.blocks.append(Details(f"{'More by class' if shown else 'By class'}, {title}", tables))
    section.blocks.extend(metric_tables.quantities(folders, reader, SUBSETS))
    section.blocks.extend(_thresholds(folders, reader))
    both = all(drawn.values())
    for subset, blocks in drawn.items():
        if blocks and subset == "oof" and both:
            section.blocks.append(Details(f"Figures, {SUBSETS[subset]}", blocks))
        elif blocks:
            section.blocks.extend([Heading(f"Figures, {SUBSETS[subset]}"), *blocks])
    if not any(drawn.values()):
        section.blocks.append(Text("No figures were drawn."))
    section.blocks.extend(label_issue_blocks(settings, folders, reader, album))
    return section


def _stand_ins(classes: Any) -> list[Block]:
    """What figures call the classes whose names no font here can draw."""
    names = stand_ins(classes) if isinstance(classes, list) else {}
    rows = [[stand_in, name] for name, stand_in in sorted(names.items(), key=lambda pair: classes.index(pair[0]))]
    return [Table("Names in the figures that no font here can draw", ["in figures", "class"], rows, 2)] if rows else []


def _overall(metrics: dict[str, Any], folders: Folders, reader: Reader) -> list[Block]:
    """Metrics over all classes but the headline's own, with intervals, a column for each set of images."""
    present = [subset for subset in SUBSETS if _flat(metrics, subset)]
    names = list(dict.fromkeys(str(key) for subset in present for key in _flat(metrics, subset) if "/" not in str(key)))
    spans = {subset: metric_tables.intervals(folders, reader, subset) for subset in present}
    rows = []
    for name in names:
        if name == _flat(metrics, "headline").get("name"):
            continue
        cells = [
            metric_tables.with_interval(name, _flat(metrics, subset)[name], spans[subset].get(name, (None, None)))
            if name in _flat(metrics, subset)
            else "–"
            for subset in present
        ]
        rows.append([metric_name(name), *cells])
    columns = ["metric", *(SUBSETS[subset] for subset in present)]
    note = "In brackets: 95 % bootstrap intervals, resampled by group." if any(spans.values()) else ""
    return [Table("Over all classes", columns, rows, note=note)] if rows else []


def _thresholds(folders: Folders, reader: Reader) -> list[Block]:
    """The threshold of each class, and the rule that evaluate chose them by."""
    thresholds = reader.json(folders.evaluate / "thresholds.json")
    rule = reader.json(folders.evaluate / "manifest.json").get("threshold_rule")
    note = f"By {rule} on out-of-fold predictions." if rule else ""
    if not thresholds:
        return []
    if len(thresholds) > MOST_ROWS:
        note += f" The first {MOST_ROWS} of {len(thresholds):,} classes; thresholds.json has them all."
        thresholds = dict(list(thresholds.items())[:MOST_ROWS])
    detailed = {name: value for name, value in thresholds.items() if isinstance(value, dict)}
    if detailed:
        columns = list(dict.fromkeys(key for value in detailed.values() for key in value))
        rows = [[name, *(format_numbers.score(value.get(key)) for key in columns)] for name, value in detailed.items()]
        return [Table("Thresholds, chosen out of fold", ["class", *map(metric_name, columns)], rows, note=note)]
    rows = [[name, format_numbers.score(value)] for name, value in thresholds.items()]
    return [Table("Thresholds, chosen out of fold", ["class", "confidence"], rows, note=note)]


def submission(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section:
    """The file to upload, its check sum, what checked it, where it came from, and what leaderboards said so far."""
    section = Section("submission", "Submission")
    path = folders.submission
    record = reader.json(path.with_suffix(".json"))
    if not path.is_file():
        section.blocks.append(todo("submit", settings.name, "There is no submission"))
        if not record:
            return section
    facts: list[tuple[str, str]] = []
    digest = sha256_of(path) if path.is_file() else None
    if digest:
        table = reader.table(path)
        facts = [("file", f"submissions/{path.name}"), ("size", format_numbers.size(path.stat().st_size))]
        if table is not None:
            facts.append(("rows", format_numbers.count(len(table))))
        facts.append(("SHA-256", digest))
        if record.get("sha256") not in (None, digest):
            section.blocks.append(Text("The file is not the one that its record describes; submit again.", warn=True))
    known = {"task", "file", "rows", "sha256", "score"}
    facts += [(humanize(key), format_numbers.format_value(value)) for key, value in record.items() if key not in known]
    section.blocks.append(KeyValues(facts))
    if record.get("checked") and digest and record.get("sha256") == digest:
        # The record is written only once the file has passed.
        section.blocks.append(Text("`tropho check-submission` found no fault in it when it was written."))
    elif record.get("checked") is False:
        section.blocks.append(Text("It was not checked: it follows no sample submission, or has no rows."))
    section.blocks.extend(agreement_blocks(reader.table(folders.ledger), settings.name, album))
    return section


def reproduce(settings: TaskConfig, folders: Folders, reader: Reader) -> Section:
    """The commands that lead to such a page, and the versions that wrote this one."""
    run = reader.json(folders.models / "run.json")
    record = reader.json(folders.submission.with_suffix(".json"))
    commit = str(run.get("git_commit") or record.get("git_commit") or "")
    lines = [
        *([f"git checkout {commit}"] if _is_commit(commit) else []),
        "pip install -c constraints.txt -e .",
        f"dvc repro report@{settings.name}",
        "mlflow ui",
    ]
    facts = [("Python", platform.python_version()), *_versions()]
    run_ids = [str(run.get("run_id") or ""), *(str(fold.get("run_id") or "") for fold in folds_of(run))]
    if any(run_ids):
        facts.append(("MLflow runs", ", ".join(each for each in run_ids if each)))
    blocks: list[Block] = [Code(lines), Details("Versions that wrote this page, and runs", [KeyValues(facts)])]
    if not commit:
        blocks.insert(1, Text("The git commit was not recorded."))
    elif str(run.get("git_dirty", record.get("git_dirty", ""))).lower() == "true":
        blocks.insert(1, Text("The working tree had changes that are not in this commit.", warn=True))
    return Section("reproduce", "How to reproduce", blocks)


def _is_commit(text: str) -> bool:
    return 7 <= len(text) <= 64 and all(each in "0123456789abcdef" for each in text)


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
