"""The layout of classification: a row an image, with a label, a probability a class, or one probability."""

from dataclasses import dataclass, field, replace

import pandas as pd

from tropho.submission.label_names import LabelNames
from tropho.submission.layout_types import (
    Issue,
    Layout,
    Row,
    UnsupportedLayoutError,
    are_probabilities,
    are_whole,
    kept_columns,
    written_labels,
)
from tropho.submission.sample_file import LABEL_NAMES, SCORE_NAMES, Sample, fold

MAX_NAMED_COLUMNS = 10  # columns of probabilities that a sentence names one by one


@dataclass(frozen=True, kw_only=True)
class ClassColumns(Layout):
    """One row an image; columns that nothing fills keep the sample's cells.

    `fill` takes image_id, label and p_<class>; without them all classes are equally probable.
    """

    classes: list[str]
    label: str | None = None  # column of labels, and `written` the label as written by class
    written: dict[str, str] = field(default_factory=dict)
    probabilities: dict[str, str] = field(default_factory=dict)  # class by column of its probability
    zeros: list[str] = field(default_factory=list)  # columns of classes that no training image has
    best: str | None = None  # column of the label's own probability

    @property
    def labels(self) -> list[str]:
        return list(self.written.values()) if self.label else []

    @property
    def sentence(self) -> str:
        parts = [f"'{self.image}' the image"]
        if self.label:
            parts.append(f"'{self.label}' the class ({', '.join(self.labels)})")
        if len(self.probabilities) <= MAX_NAMED_COLUMNS:
            parts += [f"'{column}' the probability of {name}" for column, name in self.probabilities.items()]
        else:
            parts.append(f"{len(self.probabilities)} columns the probability of a class each")
        if self.best:
            parts.append(f"'{self.best}' its probability")
        return ", ".join(parts)

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        known = predictions.set_index("image_id").reindex([row.image_id for row in rows])
        probs = known[[f"p_{name}" for name in self.classes]].fillna(1 / len(self.classes))
        labels = known["label"].astype(object).where(known["label"].notna(), self.classes[0])
        table = {name: [row.cells.get(name, "") for row in rows] for name in self.header}
        table[self.image] = [row.image for row in rows]
        if self.label:
            table[self.label] = [self.written[name] for name in labels]
        if self.best:
            table[self.best] = probs.max(axis=1).tolist()
        for column, name in self.probabilities.items():
            table[column] = probs[f"p_{name}"].tolist()
        return pd.DataFrame({**table, **{column: [0.0] * len(rows) for column in self.zeros}})


def class_layout(sample: Sample, names: LabelNames) -> ClassColumns:
    """Return the layout that a sample of a classification asks for.

    Raises:
        UnsupportedLayoutError: it asks for anything but a label or probabilities, one row an image.
    """
    n_ids, n_rows = len(sample.ids), len(sample.rows) - len(sample.nameless)
    if n_ids < n_rows:
        raise UnsupportedLayoutError(f"it has {n_rows} rows for {n_ids} images, and supported is one row an image")
    image = sample.columns.image
    layout = ClassColumns(header=sample.header, delimiter=sample.delimiter, image=image, classes=names.classes)
    others = [name for name in sample.header if name != image]
    matched = names.match_once(
        [name for name in others if name in names.classes or fold(name) not in LABEL_NAMES | SCORE_NAMES]
    )
    columns = {name: matched[name] for name in others if name in matched}
    columns = {
        name: label
        for name, label in columns.items()
        if not sample.cells(name) or are_probabilities(sample.cells(name))
    }
    left = [name for name in others if name not in columns]
    if not columns:
        return _one_column(sample, layout, names, left)
    label = next((name for name in left if fold(name) in LABEL_NAMES and not are_fractions(sample.cells(name))), None)
    left = [name for name in left if name != label]
    zeros = [name for name in left if are_probabilities(sample.cells(name))]
    issues: list[Issue] = [("sample_class", f"Column '{name}' is none of the classes; it holds 0.") for name in zeros]
    issues += kept_columns([name for name in left if name not in zeros])
    if len(columns) > 1 or len(others) > 1:
        absent = [name for name in names.classes if name not in columns.values()]
        issues += [("sample_class", f"There is no column for class '{name}'; it is left out.") for name in absent]
    written: dict[str, str] = {}
    if label:
        written, more = written_labels(sample.cells(label), names, label)
        issues += more
    return replace(layout, label=label, written=written, probabilities=columns, zeros=zeros, issues=issues)


def _one_column(sample: Sample, layout: ClassColumns, names: LabelNames, left: list[str]) -> ClassColumns:
    """Complete the layout where no column is named for a class: a label, or the probability of one of two classes."""
    value = next((name for name in left if fold(name) in LABEL_NAMES), None)
    score = next((name for name in left if fold(name) in SCORE_NAMES), None)
    value = value or (left[0] if len(left) == 1 else None)
    if value is None:
        shown = ", ".join(f"'{name}'" for name in left)
        raise UnsupportedLayoutError(
            f"its columns {shown} name none of the classes {', '.join(names.classes)}" if left else "it has one column"
        )
    cells = sample.cells(value)
    are_labels = set(cells) <= {*names.classes, *names.originals}
    many_labels = len(names.classes) > 2 and set(names.match(cells)) == set(cells)
    if value == score or (are_fractions(cells) and not many_labels and not are_labels):
        if len(names.classes) != 2:
            raise UnsupportedLayoutError(
                f"column '{value}' holds one probability, and there are {len(names.classes)} classes"
            )
        kept = kept_columns([name for name in left if name != value])
        return replace(layout, probabilities={value: names.positive(value)}, issues=kept)
    written, issues = written_labels(cells, names, value)
    issues += kept_columns([name for name in left if name not in {value, score}])
    return replace(layout, label=value, written=written, best=score, issues=issues)


def are_fractions(cells: list[str]) -> bool:
    """Whether the cells are probabilities, written with a decimal point or an exponent."""
    return are_probabilities(cells) and not are_whole(cells)
