"""Recognise the layout that a competition's sample submission asks for."""

import math
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.submission.competition_csv import COLUMNS
from tropho.submission.label_names import LabelNames
from tropho.submission.layout import Issue, Layout
from tropho.submission.sample_file import (
    Sample,
    are_probabilities,
    are_whole,
    role_of,
    string_groups,
    string_size,
)
from tropho.tables import DETECTIONS, parse_number

SUPPORTED = (
    "a row a box with columns for the image, the class, the confidence and xmin, ymin, xmax, ymax (or x, y, width, "
    "height), or a row an image with PredictionString"
)


class UnsupportedLayoutError(Exception):
    """The sample asks for what can't be written; the message says why."""


def layout_of(
    sample: Sample | None, settings: TaskConfig, classes: list[str], columns: dict[str, dict[str, Any]] | None = None
) -> Layout:
    """Return the layout of a task's submission.

    Args:
        sample: the competition's sample; None gives Tropho's own layout.
        settings: kind, audit.class_map, audit.classes and audit.negative say what the sample's labels mean.
        classes: the task's classes in order, without the negative one.
        columns: headings by role of the tables of labels, by file (labels.Labels.columns).
    """
    is_detection, audit = settings.kind == "detection", settings.audit
    header = ["image_id", "label", *(f"p_{name}" for name in classes)]
    if is_detection:
        is_zindi = any(table.get("image") in COLUMNS for table in (columns or {}).values())
        header = list(COLUMNS) if is_zindi else list(DETECTIONS)
    if sample is None:
        return Layout(header=header)
    negative = audit.negative if is_detection else None
    names = LabelNames([*classes, *([negative] if negative else [])], audit.class_map, audit.classes is not None)
    try:
        return _box_layout(sample, names, negative) if is_detection else _class_layout(sample, names)
    except UnsupportedLayoutError as error:
        return Layout(header=header, problem=str(error))


def _box_layout(sample: Sample, names: LabelNames, negative: str | None) -> Layout:
    """Recognise a row a box, or a row an image with all its boxes in one cell."""
    found = sample.columns
    if found.strings and not found.sides:
        return _string_layout(sample, names, negative, found.strings)
    label, score = found.label, found.score
    if not found.sides or score is None or (label is None and len(names.classes) > 1):
        raise UnsupportedLayoutError(f"its columns are {', '.join(sample.header)}, and supported is {SUPPORTED}")
    values = [parse_number(cell) for column in found.sides.values() for cell in sample.cells(column)]
    if values and max(values) <= 1 and any(not value.is_integer() for value in values):
        raise UnsupportedLayoutError("its boxes are shares of the image, and only pixels can be written")
    columns = {score: "score", **{column: side for side, column in found.sides.items()}}
    if label is None:
        return _layout(sample, names, columns, [], negative=negative)
    written, issues = written_labels(sample.cells(label), names, label)
    return _layout(sample, names, {**columns, label: "label"}, issues, written=written, negative=negative)


def _string_layout(sample: Sample, names: LabelNames, negative: str | None, column: str) -> Layout:
    """Recognise the form of a column that holds all boxes of an image."""
    cells = sample.cells(column)
    size = string_size(cells)
    if size is None:
        shown = f"'{cells[0]}'" if cells else "nothing"
        raise UnsupportedLayoutError(
            f"column '{column}' holds {shown}, and supported are 'label confidence xmin ymin xmax ymax' and "
            "'confidence x y width height'"
        )
    if size == 5:
        if len(names.classes) - bool(negative) > 1:
            raise UnsupportedLayoutError(
                f"column '{column}' holds no label, and the classes are {', '.join(names.classes)}"
            )
        return _layout(sample, names, {column: "strings"}, [], negative=negative)
    boxes = [group for cell in cells for group in string_groups(cell, 6)]
    written, issues = written_labels([label for label, *_ in boxes], names, column)
    if any(len(label.split()) != 1 for label in written.values()):
        raise UnsupportedLayoutError(f"labels with spaces ({', '.join(written.values())}) can't stand in '{column}'")
    shown_boxes = (" ".join(box[2:]) for box in boxes if negative and box[0] == written.get(negative))
    box = next(shown_boxes, Layout.negative_box)
    return _layout(sample, names, {column: "strings"}, issues, written=written, negative=negative, negative_box=box)


def _class_layout(sample: Sample, names: LabelNames) -> Layout:
    """Recognise a row an image, with a label, a probability a class, or one probability."""
    n_ids, n_rows = len(sample.ids), len(sample.rows) - len(sample.nameless)
    if n_ids < n_rows:
        raise UnsupportedLayoutError(f"it has {n_rows} rows for {n_ids} images, and supported is one row an image")
    others = [name for name in sample.header if name != sample.columns.image]
    named = [name for name in others if name in names.classes or role_of(name) not in {"label", "score"}]
    classes = {
        name: label
        for name, label in names.match(named, once=True).items()
        if not sample.cells(name) or are_probabilities(sample.cells(name))
    }
    left = [name for name in others if name not in classes]
    if not classes:
        return _one_column(sample, names, left)
    columns = {name: f"p_{classes[name]}" for name in others if name in classes}
    written: dict[str, str] = {}
    more: list[Issue] = []
    label = next((name for name in left if role_of(name) == "label" and not _are_fractions(sample.cells(name))), None)
    if label is not None:
        columns[label] = "label"
        written, more = written_labels(sample.cells(label), names, label)
    zeros = [name for name in left if name != label and are_probabilities(sample.cells(name))]
    issues = [("sample_class", f"Column '{name}' is none of the classes; it holds 0.") for name in zeros]
    if len(others) > 1:
        absent = [name for name in names.classes if name not in classes.values()]
        issues += [("sample_class", f"There is no column for class '{name}'; it is left out.") for name in absent]
    return _layout(sample, names, {**columns, **dict.fromkeys(zeros, "zero")}, issues + more, written=written)


def _one_column(sample: Sample, names: LabelNames, left: list[str]) -> Layout:
    """Recognise the layout where no column is named for a class: a label, or the probability of one of two classes."""
    value = next((name for name in left if role_of(name) == "label"), None)
    score = next((name for name in left if role_of(name) == "score"), None)
    value = value or (left[0] if len(left) == 1 else None)
    if value is None:
        shown = ", ".join(f"'{name}'" for name in left)
        raise UnsupportedLayoutError(
            f"its columns {shown} name none of the classes {', '.join(names.classes)}" if left else "it has one column"
        )
    cells = sample.cells(value)
    are_labels = set(cells) <= {*names.classes, *names.originals}
    many_labels = len(names.classes) > 2 and set(names.match(cells)) == set(cells)
    if value == score or (_are_fractions(cells) and not many_labels and not are_labels):
        if len(names.classes) != 2:
            raise UnsupportedLayoutError(
                f"column '{value}' holds one probability, and there are {len(names.classes)} classes"
            )
        return _layout(sample, names, {value: f"p_{names.positive(value)}"}, [])
    written, issues = written_labels(cells, names, value)
    columns = {value: "label"} if score is None else {value: "label", score: "score"}
    return _layout(sample, names, columns, issues, written=written)


def _layout(sample: Sample, names: LabelNames, columns: dict[str, str], issues: list[Issue], **more: Any) -> Layout:
    """Make the layout of a sample; columns that nothing fills become issues."""
    columns = {sample.columns.image: "image", **columns}
    kept = [
        ("sample_column", f"Nothing is known for column '{name}'; it keeps the sample's cells.")
        for name in sample.header
        if name not in columns
    ]
    return Layout(
        header=sample.header,
        delimiter=sample.delimiter,
        columns=columns,
        classes=names.classes,
        issues=[*issues, *kept],
        **more,
    )


def written_labels(cells: list[str], names: LabelNames, column: str) -> tuple[dict[str, str], list[Issue]]:
    """Return how each class is written in a column of labels, and the labels that are no class as issues.

    Args:
        cells: of the sample.
        names: the classes.
        column: of the sample, for messages.

    Raises:
        UnsupportedLayoutError: none of the labels is a class, so the column wants something else.
    """
    distinct = list(dict.fromkeys(cells))
    matched = names.match(distinct)
    classes = ", ".join(names.classes)
    unknown = [word for word in distinct if word not in matched]
    shown = ", ".join(f"'{word}'" for word in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
    if unknown and not matched:
        if all(not math.isnan(parse_number(word)) for word in unknown):
            raise UnsupportedLayoutError(
                f"column '{column}' holds numbers ({shown}) and the classes have names ({classes}): list these in "
                "audit.classes in the order of their numbers"
            )
        if len(unknown) > 1:
            raise UnsupportedLayoutError(
                f"column '{column}' holds {shown}, none of the classes {classes}; audit.class_map renames classes"
            )
    issues = [("sample_class", f"column '{column}' holds {shown}, which is no class ({classes}).")] if unknown else []
    write = names.writer(cells)
    return {name: write(name) for name in names.classes}, issues


def _are_fractions(cells: list[str]) -> bool:
    """Whether the cells are probabilities, written with a decimal point or an exponent."""
    return are_probabilities(cells) and not are_whole(cells)
